using RaftMirror.Consensus;
using RaftMirror.Consensus.Model;

namespace RaftMirror.Conformance;

/// <summary>A running cluster of one backend of <see cref="IReplicatedLog"/>, for <see cref="ReplicatedLogConformance"/>. Used by one
/// test; calls do not overlap, calls of the logs do. Disposing it stops all nodes and removes their files.</summary>
public interface ILogCluster : IAsyncDisposable
{
    /// <summary>The nodes that run now, by id.</summary>
    IReadOnlyList<NodeId> Running { get; }

    /// <summary>The log of a running node; another object after each start.</summary>
    IReplicatedLog LogOf(NodeId node);

    /// <summary>What a running node applies to; fresh after each start, and then restored.</summary>
    LedgerMachine MachineOf(NodeId node);

    /// <summary>Starts a node that was stopped or killed, with its files.</summary>
    Task StartAsync(NodeId node);

    /// <summary>Stops a node in order.</summary>
    Task StopAsync(NodeId node);

    /// <summary>Stops a node as abruptly as the backend can within one process.</summary>
    Task KillAsync(NodeId node);

    /// <summary>Can nodes be cut off? Tests that need it pass over a backend that cannot.</summary>
    bool CanIsolate { get; }

    /// <summary>From now on this node and the others hear nothing of each other; what is on its way may arrive after <see cref="Heal"/>.</summary>
    void Isolate(NodeId node);

    /// <summary>Ends all isolation.</summary>
    void Heal();

    /// <summary>HOST:PORT at which a node with a new number will listen.</summary>
    string AddressOf(NodeId node);

    /// <summary>Starts a new node that the cluster has taken as a learner.</summary>
    Task JoinAsync(NodeId node);
}
