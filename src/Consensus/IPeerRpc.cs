using RaftMirror.Consensus.Model;

namespace RaftMirror.Consensus;

/// <summary>Requests and answers between the nodes of one cluster, beside the log: each method name has one handler
/// on each node. Transport errors and time-outs are exceptions at the caller; the callee may or may not have run.</summary>
public interface IPeerRpc
{
    /// <summary>Calls <paramref name="method"/> on <paramref name="node"/> (this node included).</summary>
    /// <exception cref="PeerUnreachableException">No connection, connection lost, or the handler failed.</exception>
    ValueTask<ReadOnlyMemory<byte>> CallAsync(
        NodeId node, string method, ReadOnlyMemory<byte> request, CancellationToken cancellationToken);

    /// <summary>Sets the handler of a method; called concurrently, on pool threads. Once per method, before start.</summary>
    void Handle(string method, Func<NodeId, ReadOnlyMemory<byte>, CancellationToken, ValueTask<ReadOnlyMemory<byte>>> handler);
}

/// <summary>A peer did not answer. Whether it acted is unknown.</summary>
public sealed class PeerUnreachableException : Exception
{
    /// <summary>Creates the exception with who and why.</summary>
    public PeerUnreachableException(string message)
        : base(message)
    {
    }

    /// <summary>Creates the exception with who and why.</summary>
    public PeerUnreachableException(string message, Exception innerException)
        : base(message, innerException)
    {
    }

    /// <summary>Creates the exception without a text.</summary>
    public PeerUnreachableException()
    {
    }
}
