
namespace RaftMirror.Consensus.Model;

/// <summary>Why this node's directory is older than it was once.</summary>
/// <param name="By">The peer that knows; 0 if it was not a peer.</param>
/// <param name="Known">What it knows of this node.</param>
/// <param name="Own">What this node has.</param>
/// <param name="Disk">The disk that knows, for people; null if it was not a disk.</param>
internal sealed record OldDirectory(NodeId By, KnownLife Known, NodeLife Own, string? Disk = null)
{
    /// <summary>The life that is known is not among those that the directory remembers.</summary>
    public bool IsOtherLife => Known.Incarnation >= Own.Incarnation || (Own.StartOf(Known.Incarnation) is { } start && start != Known.Start);
}

/// <summary>Two nodes hold different entries for committed at the same place: one of them belongs to a history that went another way.</summary>
/// <param name="Own">This node's committed entry.</param>
/// <param name="Peers">Who has another one there.</param>
internal sealed record HistoryConflict(EntryId Own, NodeId[] Peers);
