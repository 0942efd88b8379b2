using RaftMirror.Primitives;

namespace RaftMirror.DataPlane.Mirroring.Core;

/// <summary>A release under a transfer; valid only if owner, epoch and incarnation still match.</summary>
/// <param name="Epoch">Owner epoch of the configuration that asked for the transfer.</param>
/// <param name="Incarnation">This node's.</param>
/// <param name="Owed">Region runs [Start, Start + Length) whose legs may differ, sorted, disjoint, at most
/// <see cref="MaxRuns"/>; a superset of the truth. If <paramref name="IsEverythingOwed"/>, only those that are owed in any case.</param>
/// <param name="IsEverythingOwed">Everything from <paramref name="PositionBytes"/> on is owed.</param>
/// <param name="PositionBytes">Flushed low-water mark of an everything-resync; 0 otherwise.</param>
/// <param name="Index">Index of the configuration whose owed set the position speaks of: what became owed after it is not
/// covered.</param>
public sealed record ReleaseReport(
    ulong Epoch, ulong Incarnation, IReadOnlyList<ByteRange> Owed, bool IsEverythingOwed, long PositionBytes, ulong Index)
{
    /// <summary>Runs are coarsened (never thinned) to this many.</summary>
    public const int MaxRuns = 4096;
}

/// <summary>What is wrong with a leg.</summary>
public enum LegFailureReason
{
    /// <summary>A write, trim or flush failed: the leg lacks data that others have.</summary>
    WriteError,

    /// <summary>A read failed; another leg gave the data, or none could.</summary>
    ReadError,

    /// <summary>The disk cannot be reached from this node; the leg lacks data if <see cref="LegFailureReport.LacksData"/>.</summary>
    Unreachable,

    /// <summary>The disk had no space for bytes that another leg has.</summary>
    NoSpace,
}

/// <summary>A leg that failed on this node. Writes that lack it stay unacknowledged until the configuration calls the leg
/// neither readable nor a target and no leg-loss barrier is left, or calls it LastErred.</summary>
/// <param name="Leg">Name.</param>
/// <param name="Disk">Disk that answered.</param>
/// <param name="Reason">What happened.</param>
/// <param name="LacksData">True if the leg missed a write or a flush.</param>
/// <param name="Index">Index of the configuration under which the I/O failed: a report older than the leg's last
/// state change says nothing about it.</param>
/// <param name="Errno">The system's error number, for people; 0 if it gave none.</param>
/// <param name="HeldBy">The leg that has the bytes for which this one has no space: only for its sake, and only while that leg can be
/// read, is this one lost. Null if the leg is lost for itself.</param>
public sealed record LegFailureReport(
    string Leg, string Disk, LegFailureReason Reason, bool LacksData, ulong Index, int Errno = 0, string? HeldBy = null)
{
    /// <summary>Where on the disk the call failed; empty if it has no place, as a flush.</summary>
    public ByteRange Place { get; init; }

    /// <summary>For events and causes.</summary>
    public string Text => Errno == 0 ? $"{Reason} on {Disk}" : $"{Reason} on {Disk}: {ErrnoText.Of(Errno)}";
}

/// <summary>How far a resync is.</summary>
/// <param name="Epoch">Owner epoch.</param>
/// <param name="Index">Index of the configuration whose owed set is being worked on.</param>
/// <param name="PositionBytes">Below it everything is equal and flushed; for an everything-resync.</param>
/// <param name="DoneBytes">Work done.</param>
/// <param name="TotalBytes">Work in all, as it was at the start.</param>
public sealed record ResyncProgressReport(ulong Epoch, ulong Index, long PositionBytes, long DoneBytes, long TotalBytes);

/// <summary>A resync that ended well. To be refused if the volume's owed set grew after <paramref name="Index"/> or another
/// owner epoch is current.</summary>
/// <param name="Epoch">Owner epoch.</param>
/// <param name="Index">Index of the newest configuration whose whole owed set is done: a merge or a leg change committed
/// after it is not covered.</param>
/// <param name="WasEverything">True for a whole-volume resync, false for the optimized kind.</param>
/// <param name="CopiedBytes">Bytes written to legs that differed, each leg counted.</param>
/// <param name="ComparedBytes">Bytes found equal, each leg counted.</param>
/// <param name="SkippedBytes">Bytes of the volume that were not owed and not touched.</param>
public sealed record ResyncFinishedReport(
    ulong Epoch, ulong Index, bool WasEverything, long CopiedBytes, long ComparedBytes, long SkippedBytes);
