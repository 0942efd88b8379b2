using RaftMirror.DataPlane.Configuration;
using RaftMirror.DataPlane.Devices;
using RaftMirror.DataPlane.Exports;
using RaftMirror.Primitives;

namespace RaftMirror.DataPlane.Mirroring.Core;

/// <summary>What a client asks for, or what the core does for itself.</summary>
internal enum RequestKind
{
    Read,
    Write,
    Trim,
    WriteZeroes,
    Flush,

    /// <summary>Internal: copy of an owed range.</summary>
    Copy,

    /// <summary>Internal: flush for cleaning, release, resync position or end.</summary>
    InternalFlush,
}

/// <summary>A client's request. Data stays with the shell under <paramref name="Id"/>.</summary>
/// <param name="Id">The shell's.</param>
/// <param name="Kind">What is asked.</param>
/// <param name="Range">Bytes of the volume.</param>
/// <param name="Session">The connection, from 1; 0 is the node itself.</param>
/// <param name="IsForced">To stable storage before the reply.</param>
/// <param name="MayUnmap">Zeros may be holes.</param>
/// <param name="FromNs">Its last byte did not reach this host's kernel before this (CLOCK_BOOTTIME).</param>
/// <param name="ToNs">It had by this; 0: it comes now.</param>
internal readonly record struct MirrorRequest(
    ulong Id, RequestKind Kind, ByteRange Range, uint Session, bool IsForced = false, bool MayUnmap = false, long FromNs = 0, long ToNs = 0);

/// <summary>What the shell must do.</summary>
internal enum EffectKind
{
    /// <summary>Read <c>Range</c> (of the device <c>Disk</c>) into the request's buffer at <c>BufferOffset</c>.</summary>
    LegRead,
    LegWrite,
    LegZero,
    LegFlush,

    /// <summary><c>Payload</c> is a <see cref="CopyPlan"/>; answered by CopyCompleted.</summary>
    Copy,

    /// <summary>Wait no longer for the calls of operation <c>Id</c> on its leg <c>Leg</c>, which is committed as lost. Calls under way are
    /// answered at once, as failed; a copy stops, and is answered once no call of it to another leg is under way.</summary>
    GiveUp,

    /// <summary><c>Payload</c> is an <see cref="EvenOutPlan"/>; answered by EvenedOut.</summary>
    EvenOut,

    /// <summary>Append <c>Payload</c> (RegionUpdate[]) to the dirty log, in order; answered by MarksAppended(<c>Id</c>).</summary>
    AppendMarks,

    /// <summary>The request <c>Id</c> ended with <c>Status</c>; its buffer is free.</summary>
    Reply,

    /// <summary>Send <c>Payload</c> (PeerMessage) to node <c>Name</c>.</summary>
    Send,

    RequestOwnership,
    Released,
    LegFailed,

    /// <summary>The barrier <c>Id</c> is done here; for a leg's return with the marked regions as <c>Payload</c> (runs of region
    /// numbers).</summary>
    ConfirmBarrier,
    ResyncProgressed,
    ResyncFinished,

    /// <summary>The session <c>Id</c> may tell its client that it has the export (design §14.26).</summary>
    SessionAdmitted,

    /// <summary>All client connections must go; <c>Name</c> says why.</summary>
    DropClients,

    /// <summary>This incarnation is over: the storage refuses it (<c>Name</c> is the disk), or as <c>Name</c> says.</summary>
    Fenced,

    /// <summary>A shutdown has drained, flushed and cleaned.</summary>
    Drained,
}

/// <summary>One effect; which fields count is told by <see cref="Kind"/>.</summary>
internal readonly record struct MirrorEffect(
    EffectKind Kind,
    ulong Id = 0,
    int Leg = 0,
    string? Name = null,
    ByteRange Range = default,
    long BufferOffset = 0,
    bool MayUnmap = false,
    IoStatus Status = IoStatus.Ok,
    object? Payload = null,
    ulong Request = 0);

/// <summary>A piece of a leg on one disk.</summary>
internal readonly record struct LegPart(string Disk, long DiskOffset, long BufferOffset, long Length);

/// <summary>Read the source; compare each target with it and write where it differs.</summary>
/// <param name="Range">Bytes of the volume.</param>
/// <param name="Legs">Parts of each leg; the first is the source.</param>
internal sealed record CopyPlan(ByteRange Range, IReadOnlyList<IReadOnlyList<LegPart>> Legs);

/// <summary>Make the legs equal where some are full: from any of the first ones, block by block, whichever fits.</summary>
/// <param name="Range">Bytes of the volume.</param>
/// <param name="Legs">Parts of each leg.</param>
/// <param name="Sources">So many of the first legs are readable.</param>
internal sealed record EvenOutPlan(ByteRange Range, IReadOnlyList<IReadOnlyList<LegPart>> Legs, int Sources);

/// <summary>How a copy ended.</summary>
/// <param name="Status">Ok, or the first failure.</param>
/// <param name="Leg">Index in the plan of the leg that failed.</param>
/// <param name="Disk">Disk that failed.</param>
/// <param name="WasWrite">The failure was a write.</param>
/// <param name="CopiedBytes">Written to targets.</param>
/// <param name="ComparedBytes">Found equal on targets.</param>
/// <param name="IsLeaseLost">The lease ended on the way; the devices are not to blame.</param>
internal readonly record struct CopyResult(
    DeviceStatus Status,
    int Leg,
    string? Disk,
    bool WasWrite,
    long CopiedBytes,
    long ComparedBytes,
    bool IsLeaseLost = false)
{
    /// <summary>The system's error number; 0 if it gave none.</summary>
    public int Errno { get; init; }

    /// <summary>Where on the disk it failed.</summary>
    public ByteRange Place { get; init; }
}

/// <summary>What the control plane says about one volume, and the members of its set.</summary>
internal sealed record VolumeView(
    ulong Index, string Self, IReadOnlyList<MemberConfiguration> Members, VolumeConfiguration Volume);

/// <summary>Test hooks: known ways to be wrong, each of which a simulation must find. Never set outside tests.</summary>
[Flags]
internal enum MirrorFaults
{
    None = 0,
    SubmitBeforeMark = 1 << 0,
    CleanOwedOrUnflushed = 1 << 1,
    FinishResyncWithoutCopy = 1 << 2,
    ReadOwedUnrepaired = 1 << 3,
    IgnoreWindows = 1 << 4,
    CopyWithoutRangeLock = 1 << 5,
    KeepServingAfterTransfer = 1 << 6,
    IgnoreLease = 1 << 7,
    ReadTargets = 1 << 8,
    IgnoreMergeOwed = 1 << 9,
    AcknowledgePastFailedLeg = 1 << 10,
    ReleaseUndrained = 1 << 11,
    SkipDrainBarrier = 1 << 12,
    WaitForLostLeg = 1 << 13,
    ReturnWithIoOutstanding = 1 << 14,
    CleanWhileOffline = 1 << 15,
    ForgetMarksOnReturn = 1 << 16,
    DeafWhileDraining = 1 << 17,
    ReleaseOnClosedDisks = 1 << 18,
    HoldOverdueMarks = 1 << 19,
    AdmitUnserved = 1 << 20,
    SkipGivenUpHold = 1 << 21,
    AgeFromRead = 1 << 22,
    UnlistedAtSubmit = 1 << 23,
    IgnoreSilentPeer = 1 << 24,
    SessionUnannounced = 1 << 25,
    LoseFullLegs = 1 << 29,
    LeaveUneven = 1 << 30,
}
