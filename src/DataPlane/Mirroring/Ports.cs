using RaftMirror.DataPlane.Configuration;
using RaftMirror.DataPlane.Devices;
using RaftMirror.DataPlane.DirtyRegions;
using RaftMirror.DataPlane.Mirroring.Core;
using RaftMirror.Primitives;

namespace RaftMirror.DataPlane.Mirroring;

/// <summary>The clock of leases: advances in suspend, never steps. Any thread.</summary>
public interface ILeaseClock
{
    /// <summary>Nanoseconds of CLOCK_BOOTTIME.</summary>
    long NowNs { get; }
}

/// <summary><see cref="ILeaseClock"/> on this machine's boot time.</summary>
public sealed class BootTimeLeaseClock : ILeaseClock
{
    /// <summary>The one instance.</summary>
    public static BootTimeLeaseClock Instance { get; } = new();

    /// <inheritdoc/>
    public long NowNs => Linux.BootTimeNanoseconds();
}

/// <summary>Datagrams between the data planes of one set. Best effort: a message may be lost, delayed, duplicated or
/// overtaken; every exchange repeats until it is answered. Incoming ones go to <see cref="DataPlaneSet.Receive"/>.</summary>
public interface IPeerMessages
{
    /// <summary>Sends without waiting; never throws for an unreachable node. Any thread.</summary>
    /// <param name="node">Node name, never this node.</param>
    /// <param name="payload">At most 1 MiB; the callee may keep it.</param>
    void Send(string node, ReadOnlyMemory<byte> payload);
}

/// <summary>Opens what a set needs on this node. Calls may block; they come from one thread of the set's, one at a time.</summary>
public interface ISetResources
{
    /// <summary>Opens a disk after checking its label.</summary>
    /// <exception cref="IOException">It cannot be reached or is another disk; tried again later.</exception>
    IBlockDevice OpenDisk(SetConfiguration set, DiskConfiguration disk);

    /// <summary>Opens a new dirty log for this incarnation in its slot.</summary>
    /// <param name="set">The configuration that names the slot.</param>
    /// <param name="slot">The slot, committed before this first use.</param>
    /// <param name="disks">The slot's disks, open, in the slot's order.</param>
    /// <exception cref="IOException">It cannot be written; reported and not tried again for this generation. As
    /// <see cref="DirtyLogOpenException"/> if a disk is to blame.</exception>
    ValueTask<IDirtyRegionLog> OpenLogAsync(SetConfiguration set, SlotConfiguration slot, IReadOnlyList<IBlockDevice> disks);
}

/// <summary>What the data plane of one set tells the control plane. Each call must return at once (queue it) and may come from
/// any thread of the set's, never two at once for one volume. Reports may be lost: they are repeated, about every second,
/// until the configuration shows their effect, so each must be idempotent and carries what it was based on.</summary>
public interface IVolumeReports
{
    /// <summary>A write (or the repair of an owed region) waits here for ownership.</summary>
    /// <param name="volume">Volume number.</param>
    /// <param name="epochSeen">Owner epoch of the configuration that showed another owner or none.</param>
    void RequestOwnership(uint volume, ulong epochSeen);

    /// <summary>This node stopped, drained and flushed, as a transfer asked it to.</summary>
    void Released(uint volume, ReleaseReport report);

    /// <summary>A leg failed here.</summary>
    void LegFailed(uint volume, LegFailureReport report);

    /// <summary>This node did what the barrier asks for.</summary>
    /// <param name="volume">Volume number.</param>
    /// <param name="barrier">Its id.</param>
    /// <param name="marked">For a leg's return: runs [Start, Start + Length) of the regions that this node had marked.</param>
    void BarrierConfirmed(uint volume, ulong barrier, IReadOnlyList<ByteRange> marked);

    /// <summary>The resync got further.</summary>
    void ResyncProgressed(uint volume, ResyncProgressReport report);

    /// <summary>Nothing is owed any more, and all legs are flushed.</summary>
    void ResyncFinished(uint volume, ResyncFinishedReport report);

    /// <summary>This node's dirty log cannot be trusted or opened: it writes no logged volume of the set until the
    /// configuration names a slot of a higher generation, and none of its writes and copies to logged volumes is under way any more.
    /// Once per generation.</summary>
    /// <param name="slot">The slot in use.</param>
    /// <param name="failure">Why.</param>
    void DirtyLogFailed(SlotConfiguration slot, DirtyLogFailure failure);

    /// <summary>This node's dirty log of that slot is open, so its logged volumes can be written. Once per generation.</summary>
    void DirtyLogOpened(SlotConfiguration slot);

    /// <summary>This incarnation serves nothing any more: the storage refuses its key, or a write stands on some legs only and its
    /// lease did not come back in time to complete it. The node must come back as a new incarnation, after a merge.</summary>
    /// <param name="reason">The disk that refused, or what happened.</param>
    void Fenced(string reason);
}

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

/// <summary>A volume's figures for status; a snapshot. Any thread.</summary>
/// <param name="Volume">Number.</param>
/// <param name="Name">SET/VOLUME.</param>
/// <param name="RegionBytes">Region size.</param>
/// <param name="OpenRegions">Regions marked dirty by this node.</param>
/// <param name="StaleRegions">Regions owed a resync, as far as this node knows.</param>
/// <param name="Clients">Open client connections on this node.</param>
/// <param name="RequestsInFlight">Client requests not answered yet.</param>
/// <param name="Resync">The resync that runs on this node, or null.</param>
public sealed record VolumeStatistics(
    uint Volume,
    string Name,
    int RegionBytes,
    long OpenRegions,
    long StaleRegions,
    int Clients,
    int RequestsInFlight,
    ResyncStatistics? Resync)
{
    /// <summary>Why clients were lately answered that there is no space: disk and error; null if they were not.</summary>
    public string? Full { get; init; }

    /// <summary>The oldest leg I/O that this node waits for; null if there is none.</summary>
    public VolumeWait? Wait { get; init; }

    /// <summary>The oldest client request that is held before its leg I/O, or after it; null if there is none.</summary>
    public VolumeHold? Held { get; init; }
}

/// <summary>A client request without leg I/O under way.</summary>
/// <param name="Reason">What it waits for.</param>
/// <param name="On">Node, disk or leg that this depends on; null if none is known.</param>
/// <param name="AgeMs">Since it came.</param>
/// <param name="Requests">Requests held.</param>
public sealed record VolumeHold(HoldReason Reason, string? On, long AgeMs, int Requests);

/// <summary>Leg I/O that a volume waits for.</summary>
/// <param name="Leg">Leg.</param>
/// <param name="Disk">Its disk.</param>
/// <param name="AgeMs">Since it was submitted.</param>
public sealed record VolumeWait(string Leg, string Disk, long AgeMs);

/// <summary>A resync that runs on this node.</summary>
/// <param name="Kind">"optimized" or "submirror".</param>
/// <param name="DoneBytes">Work done.</param>
/// <param name="TotalBytes">Work in all.</param>
/// <param name="BytesPerSecond">Since it began here.</param>
/// <param name="EtaSeconds">Work left / rate; null while there is no rate.</param>
public sealed record ResyncStatistics(string Kind, long DoneBytes, long TotalBytes, long BytesPerSecond, long? EtaSeconds);
