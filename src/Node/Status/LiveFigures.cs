using RaftMirror.Contracts;
using RaftMirror.ControlPlane.Leases;

namespace RaftMirror.Node.Status;

/// <summary>What is not in the replicated state: gathered from the nodes that answered in time.</summary>
/// <param name="Nodes">By node name; a node that is missing did not answer.</param>
/// <param name="Volumes">By SET/VOLUME; a volume that is missing was not reported by any node.</param>
/// <param name="HorizonMs">The fencing horizon of a node without disk sets: lease × (1 + drift) + worst completion + margin.</param>
internal sealed record LiveFigures(
    IReadOnlyDictionary<string, NodeLive> Nodes,
    IReadOnlyDictionary<string, VolumeLive> Volumes,
    int HorizonMs)
{
    /// <summary>Voters' clocks differ, and no majority agrees.</summary>
    public bool ClocksApart { get; init; }

    /// <summary>Disks by SET/DISK, as each node that answered sees them.</summary>
    public IReadOnlyDictionary<string, IReadOnlyList<DiskLive>> Disks { get; init; } = new Dictionary<string, IReadOnlyList<DiskLive>>();

    /// <summary>Times of the leases, to tell each set's own horizon; null if unknown.</summary>
    public LeaseOptions? Lease { get; init; }

    public static LiveFigures None { get; } =
        new(new Dictionary<string, NodeLive>(), new Dictionary<string, VolumeLive>(), 0);
}

/// <summary>One node, now.</summary>
/// <param name="IsVoter">Votes.</param>
/// <param name="LagEntries">Entries behind the leader; null if the leader does not know.</param>
/// <param name="NbdClients">Connections; null if it did not answer.</param>
internal sealed record NodeLive(bool IsVoter, ulong? LagEntries, int? NbdClients)
{
    /// <summary>leader, follower or learner; null to derive it.</summary>
    public string? Role { get; init; }

    /// <summary>member, quarantined, outdated, conflicting or removed; null if unknown.</summary>
    public string? Standing { get; init; }

    /// <summary>Why it serves nothing.</summary>
    public string? Reason { get; init; }

    /// <summary>How far its clock is ahead of a majority of the voters' (negative: behind), ms; null if unknown.</summary>
    public long? ClockAheadMs { get; init; }

    /// <summary>So far that it does not lead.</summary>
    public bool ClockWrong { get; init; }

    /// <summary>What has run out on it.</summary>
    public IReadOnlyList<HealthCause> Causes { get; init; } = [];

    /// <summary>Live nodes that it does not hear, or that do not hear it.</summary>
    public IReadOnlyList<string> Unheard { get; init; } = [];
}

/// <summary>One volume, now, summed over the nodes that answered.</summary>
/// <param name="OpenRegions">Marked regions that are not owed a resync; null if unknown.</param>
/// <param name="StaleRegions">Regions owed by the resync owner's count; null if unknown (the committed state counts then).</param>
/// <param name="Clients">NBD connections.</param>
/// <param name="Resync">The running resync's figures; null if none runs.</param>
internal sealed record VolumeLive(long? OpenRegions, long? StaleRegions, int Clients, ResyncLive? Resync)
{
    /// <summary>Why clients were lately answered that there is no space; null if they were not.</summary>
    public string? Full { get; init; }

    /// <summary>The oldest leg I/O that a node waits for; null if none waits.</summary>
    public WaitLive? Wait { get; init; }

    /// <summary>The oldest client request that a node holds; null if none does.</summary>
    public HoldLive? Held { get; init; }
}

/// <summary>A client request without leg I/O under way.</summary>
/// <param name="Node">Where.</param>
/// <param name="Reason">What it waits for.</param>
/// <param name="On">Node, disk or leg that this depends on; null if none is known.</param>
/// <param name="AgeMs">Since it came.</param>
/// <param name="Requests">Requests of the volume that are held there.</param>
internal sealed record HoldLive(string Node, HoldReason Reason, string? On, long AgeMs, int Requests);

/// <summary>Leg I/O that is waited for.</summary>
/// <param name="Node">Where.</param>
/// <param name="Leg">Submirror.</param>
/// <param name="Disk">Its disk.</param>
/// <param name="AgeMs">Since it was submitted.</param>
/// <param name="Requests">Requests of the volume that are not answered there.</param>
internal sealed record WaitLive(string Node, string Leg, string Disk, long AgeMs, int Requests);

/// <summary>A disk as one node sees it.</summary>
/// <param name="Node">Node.</param>
/// <param name="OldestMs">Age of its oldest call in the kernel; 0 for none.</param>
/// <param name="Calls">Calls in the kernel.</param>
/// <param name="Phase">fine, slow, hangs, allSlow or onlyHere.</param>
internal sealed record DiskLive(string Node, long OldestMs, int Calls, string Phase)
{
    /// <summary>Its size if it has grown; 0 else.</summary>
    public long GrownToBytes { get; init; }

    /// <summary>Its path leads to it no more.</summary>
    public bool IsPathGone { get; init; }
}

/// <summary>A running resync.</summary>
/// <param name="Kind">optimized, component or submirror; null to derive it from the state.</param>
/// <param name="DoneBytes">Work done.</param>
/// <param name="TotalBytes">Work in all; may grow.</param>
/// <param name="BytesPerSecond">Mean rate; null before there is one.</param>
/// <param name="LimitedBy">What holds it back, for people; null if nothing.</param>
internal sealed record ResyncLive(string? Kind, long DoneBytes, long TotalBytes, long? BytesPerSecond, string? LimitedBy);
