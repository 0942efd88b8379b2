using RaftMirror.DataPlane.DirtyRegions.Core;

namespace RaftMirror.DataPlane.DirtyRegions;

/// <summary>The dirty-region log of one (disk set, node, incarnation): written by that node alone, read by any survivor.
/// Marks and clears of all volumes of the set share it (group commit). Any thread may call.</summary>
public interface IDirtyRegionLog : IAsyncDisposable
{
    /// <summary>Appends updates in order and waits until they, and all before them, are durable on every log disk in
    /// use. No data write to a region may be submitted before its mark's call returned true.</summary>
    /// <returns>False if durability is in doubt: the log has failed for good (<see cref="Failure"/> says why), the node must
    /// stop writing to the set's volumes until the control plane gave it a new log.</returns>
    ValueTask<bool> AppendAsync(ReadOnlyMemory<RegionUpdate> updates);

    /// <summary>Null while the log works; else what broke, and on which disk if one is to blame.</summary>
    DirtyLogFailure? Failure { get; }
}

/// <summary>Why a dirty-region log stopped for good.</summary>
/// <param name="Message">For people.</param>
/// <param name="Disk">The log disk that failed, if one did.</param>
/// <param name="IsFull">There was no space for it: no disk is to blame, and another log is to be tried, but not at once.</param>
/// <param name="IsChosen">It works, and is given up for a better one.</param>
/// <param name="IsUnreachable">The disk could not be reached, or is not what it was, rather than bad.</param>
public sealed record DirtyLogFailure(string Message, string? Disk, bool IsFull = false, bool IsChosen = false, bool IsUnreachable = false);

/// <summary>A dirty-region log could not be opened. Names the disk to blame, so that the next log is placed elsewhere.</summary>
public sealed class DirtyLogOpenException : IOException
{
    /// <param name="failure">What broke.</param>
    public DirtyLogOpenException(DirtyLogFailure failure)
        : base((failure ?? throw new ArgumentNullException(nameof(failure))).Message) => Failure = failure;

    /// <summary>What broke.</summary>
    public DirtyLogFailure Failure { get; }
}
