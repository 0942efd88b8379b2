using RaftMirror.DataPlane.Configuration;
using RaftMirror.DataPlane.Devices;
using RaftMirror.Primitives;

namespace RaftMirror.DataPlane.Mirroring.Core;

/// <summary>Where an operation stands.</summary>
internal enum OperationState
{
    /// <summary>Not admitted: holds no range lock and no region count.</summary>
    Waiting,

    /// <summary>Holds the range lock and region counts; waits for durable marks. No leg I/O yet.</summary>
    Marking,

    /// <summary>A copy that holds the range lock and waits for every member to install its window.</summary>
    Announcing,

    /// <summary>Leg I/O is under way.</summary>
    Submitted,

    /// <summary>The forced flush after a write is under way.</summary>
    Flushing,

    /// <summary>Leg I/O ended; a leg failed, or a leg-loss barrier stands: waits for the committed state. Counts as quiesced.</summary>
    AwaitingLeg,

    /// <summary>No readable leg had space for it; what came to stand on some legs is being evened out.</summary>
    Evening,

    Ended,
}

/// <summary>A leg as the core tracks it, across configurations.</summary>
internal sealed class Leg
{
    public required string Name { get; init; }

    public required IReadOnlyList<ExtentConfiguration> Extents { get; init; }

    public LegState State { get; set; }

    /// <summary>False once the configuration no longer has it.</summary>
    public bool IsPresent { get; set; } = true;

    /// <summary>True until its first configuration was taken over.</summary>
    public bool IsNew { get; set; } = true;

    /// <summary>Physical I/O under way.</summary>
    public int InFlight { get; set; }

    /// <summary>What to report until the configuration shows it; null if nothing is wrong.</summary>
    public LegFailureReport? Failure { get; set; }

    public bool IsReadable => IsPresent && (State is LegState.Okay or LegState.LastErred);

    public bool IsWritable => IsPresent && (IsReadable || State is LegState.Attached or LegState.Resyncing);

    /// <summary>The extent that holds <paramref name="offset"/>.</summary>
    public ExtentConfiguration ExtentAt(long offset)
    {
        foreach (var extent in Extents)
        {
            if (offset < extent.VolumeOffsetBytes + extent.LengthBytes) return extent;
        }

        Invariant.Fail("Extents cover the volume without gaps.");
        return null;
    }
}

/// <summary>One request on its way through the core; pooled.</summary>
internal sealed class Operation
{
    public const int MaxLegs = 8;

    public readonly Leg?[] Legs = new Leg?[MaxLegs];
    public readonly int[] Pending = new int[MaxLegs];
    public readonly DeviceStatus[] Status = new DeviceStatus[MaxLegs];

    /// <summary>Calls to this leg were given up, so that this is said once.</summary>
    public readonly bool[] IsGivenUp = new bool[MaxLegs];

    /// <summary>When leg I/O began last.</summary>
    public long SubmittedNs { get; set; }

    /// <summary>Its client was let go after the bound, without an answer; it holds its range until its leg I/O has ended.</summary>
    public bool IsDetached { get; set; }

    /// <summary>Where the legs' space comes from; of a leg of several disks, the last that answered.</summary>
    public readonly ulong[] Space = new ulong[MaxLegs];

    public ulong Id { get; set; }

    public ulong RequestId { get; set; }

    public RequestKind Kind { get; set; }

    public ByteRange Range { get; set; }

    public uint Session { get; set; }

    /// <summary>Bounds of when its last byte reached this host's kernel.</summary>
    public long FromNs { get; set; }

    public long ToNs { get; set; }

    /// <summary>No older write that its client may have given up is left anywhere (design §14.25).</summary>
    public bool IsInOrder { get; set; }

    /// <summary>What it waits for to be in order; null if it is, or was not looked at.</summary>
    public OrderHold? OrderHold { get; set; }

    /// <summary>When the core got it.</summary>
    public long CameNs { get; set; }

    public bool IsForced { get; set; }

    public bool MayUnmap { get; set; }

    public long DeadlineNs { get; set; }

    public OperationState State { get; set; }

    public bool IsListedWaiting { get; set; }

    /// <summary>Blocked by the range lock alone when last looked at: later overlapping ones must not pass it.</summary>
    public bool WantsLock { get; set; }

    public bool HoldsLock { get; set; }

    public bool IsCounted { get; set; }

    public ulong Epoch { get; set; }

    public int LegCount { get; set; }

    public int PendingTotal { get; set; }

    /// <summary>Ownership or lease was lost while its I/O was under way: never report success.</summary>
    public bool MustDrop { get; set; }

    /// <summary>Some of its leg calls were not made, because the lease had run out.</summary>
    public bool WasLeaseLost { get; set; }

    public bool RetriedLastErred { get; set; }

    /// <summary>A window of another node covered it while it was parked on a leg error: write everything again.</summary>
    public bool WasUnderWindow { get; set; }

    public long RepairAskedNs { get; set; }

    /// <summary>A copy's window, while it is open.</summary>
    public WindowOwner? Windows { get; set; }

    public ulong WindowSequence { get; set; }

    public FlushPurpose Purpose { get; set; }

    public ulong Generation { get; set; }

    public long Mark { get; set; }

    /// <summary>A disk that had no space for it, and its error number.</summary>
    public string? FullDisk { get; set; }

    public int FullErrno { get; set; }

    /// <summary>Its full legs were reported as lost, since another leg has the bytes.</summary>
    public bool IsFullReported { get; set; }

    /// <summary>What of it stood on some legs only does so no more.</summary>
    public bool IsEvened { get; set; }

    public bool IsClientWrite => Kind is RequestKind.Write or RequestKind.Trim or RequestKind.WriteZeroes;

    public bool HasPhysicalIo => PendingTotal > 0;

    /// <summary>Back to unused; keeps the arrays.</summary>
    public void Reset()
    {
        Array.Clear(Legs);
        Array.Clear(Pending);
        Array.Clear(Status);
        Array.Clear(IsGivenUp);
        (SubmittedNs, IsDetached) = (0, false);
        (Id, RequestId, Kind, Range, Session) = (0, 0, default, default, 0);
        (IsForced, MayUnmap, DeadlineNs, State) = (false, false, 0, OperationState.Waiting);
        (IsListedWaiting, WantsLock, HoldsLock, IsCounted, Epoch) = (false, false, false, false, 0);
        (LegCount, PendingTotal, MustDrop, RetriedLastErred, WasUnderWindow) = (0, 0, false, false, false);
        (WasLeaseLost, FromNs, ToNs, IsInOrder, OrderHold, CameNs) = (false, 0, 0, false, null, 0);
        (FullDisk, FullErrno, IsFullReported, IsEvened) = (null, 0, false, false);
        (RepairAskedNs, Windows, WindowSequence, Purpose, Generation, Mark) = (long.MinValue, null, 0, default, 0, 0);
    }
}

/// <summary>Why the core flushes by itself.</summary>
internal enum FlushPurpose
{
    None,
    Cleaning,
    Release,
    ResyncPosition,
    ResyncEnd,
    Shutdown,
}
