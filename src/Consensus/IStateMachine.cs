using RaftMirror.Consensus.Model;

namespace RaftMirror.Consensus;

/// <summary>What is applied. Called by one thread at a time, not always the same and perhaps
/// on the stack of a proposer, so it takes no lock that a proposer may hold; in order, never concurrently, exactly once per position and process.</summary>
public interface IStateMachine
{
    /// <summary>Applies one committed command. Deterministic; must not throw; must not send or wait.</summary>
    /// <param name="position">Where it stands in the log.</param>
    /// <param name="epoch">The epoch (term) in which it was appended.</param>
    /// <param name="command">The bytes that were proposed; valid during the call only.</param>
    /// <returns>The result for the proposer, the same on every node.</returns>
    ReadOnlyMemory<byte> Apply(LogPosition position, ulong epoch, ReadOnlySpan<byte> command);

    /// <summary>A hash of the state, or of everything that led to it: equal on all nodes after the same position. Cheap.</summary>
    ulong StateHash { get; }

    /// <summary>A view of the state as it is now, which stays as it is while later commands are applied. Cheap.</summary>
    ISnapshotSource BeginSnapshot();

    /// <summary>Replaces the state by what a snapshot holds. Before the first command, or between two.</summary>
    /// <param name="content">What <see cref="ISnapshotSource.WriteTo"/> wrote, on this or another node.</param>
    /// <exception cref="InvalidDataException">It is something else: the node must stop.</exception>
    void Restore(Stream content);
}

/// <summary>A point-in-time view of a state machine. Written once, on another thread than the one that applies.</summary>
public interface ISnapshotSource
{
    /// <summary>Writes the state in canonical form: equal states give equal bytes on every node.</summary>
    void WriteTo(Stream destination);
}
