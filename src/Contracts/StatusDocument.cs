using System.Text.Json.Serialization;

namespace RaftMirror.Contracts;

// The answer of GET /v1/status: the contract that scripts rely on. Numbers are numbers, the unit is in the name,
// null means unknown. Members may be added, never renamed or removed.

/// <summary>A cluster at one position of its log.</summary>
internal sealed record StatusDocument
{
    public const string SchemaName = "raftmirror/status/v1";

    public string Schema { get; init; } = SchemaName;

    /// <summary>Log index up to which the answer is complete.</summary>
    public required ulong Index { get; init; }

    public required ulong Term { get; init; }

    /// <summary>Name of the leader, null while there is none.</summary>
    public required string? Leader { get; init; }

    /// <summary>Node that composed the answer.</summary>
    public required string AnsweredBy { get; init; }

    /// <summary>linearizable or stale.</summary>
    public required string Consistency { get; init; }

    /// <summary>Name of the cluster, if it has one.</summary>
    public string? Cluster { get; init; }

    public required IReadOnlyList<NodeReport> Nodes { get; init; }

    /// <summary>Voters' clocks differ, no majority of them agrees, and nobody can tell which is right.</summary>
    public bool ClocksApart { get; init; }

    public required IReadOnlyList<DisksetStatus> Disksets { get; init; }
}

internal sealed record NodeReport
{
    public required string Name { get; init; }

    /// <summary>up, draining, suspect, fenced or down.</summary>
    public required string State { get; init; }

    /// <summary>leader, follower, learner, none (it has been removed) or unknown.</summary>
    public required string Role { get; init; }

    public required bool Voter { get; init; }

    /// <summary>Log entries that the leader has and this node has not; null if the leader does not know.</summary>
    public required ulong? LagEntries { get; init; }

    public ulong Incarnation { get; init; }

    /// <summary>HOST:PORT of its HTTP API.</summary>
    public string? Api { get; init; }

    /// <summary>HOST:PORT of its peer listener.</summary>
    public string? Peer { get; init; }

    /// <summary>HOST:PORT and unix:PATH of its NBD listeners.</summary>
    public IReadOnlyList<string> Nbd { get; init; } = [];

    /// <summary>NBD clients connected to it; null if it did not answer.</summary>
    public int? NbdClients { get; init; }

    /// <summary>Volumes it owns.</summary>
    public int Owns { get; init; }

    /// <summary>member, quarantined (its state differs from the majority's), outdated (its data directory is an older copy), conflicting (its history
    /// contradicts others'), removed (it takes no part in the log any more) or null if unknown.</summary>
    public string? Standing { get; init; }

    /// <summary>Why it serves nothing, for people; else null.</summary>
    public string? Reason { get; init; }

    /// <summary>How far its clock is ahead of a majority of the voters' (negative: behind), ms; null if unknown.</summary>
    public long? ClockAheadMs { get; init; }

    /// <summary>Its clock is so far from a majority of three voters or more that it does not lead.</summary>
    public bool ClockWrong { get; init; }

    /// <summary>What has run out on it; also among the causes of its disk sets.</summary>
    public IReadOnlyList<HealthCause> Causes { get; init; } = [];
}

internal sealed record DisksetStatus
{
    public required string Name { get; init; }

    /// <summary>okay, warning, degraded, stale, unavailable or released.</summary>
    public required string Health { get; init; }

    public required string? Master { get; init; }

    /// <summary>reservation, lease or none.</summary>
    public required string Fencing { get; init; }

    /// <summary>Longest time before a dead node's volumes are served again.</summary>
    public required int HorizonMs { get; init; }

    /// <summary>Age of a disk's call from which the disk counts as lost; part of the horizon.</summary>
    public long DeviceTimeoutMs { get; init; }

    /// <summary>True while nothing kills a node that was paused for longer than its lease.</summary>
    public bool SafeAgainstPauses { get; init; }

    public required IReadOnlyList<SetNodeStatus> Nodes { get; init; }

    public required IReadOnlyList<DiskReport> Disks { get; init; }

    public required IReadOnlyList<VolumeStatus> Volumes { get; init; }

    /// <summary>Why the health is not okay, worst first; for people.</summary>
    public IReadOnlyList<HealthCause> Causes { get; init; } = [];
}

internal sealed record HealthCause(string Code, string Object, string Cause, string Action);

/// <summary>A node's part in one disk set.</summary>
internal sealed record SetNodeStatus(string Name, bool Joined, string State, bool MergeOwed)
{
    /// <summary>Disks of the set that it cannot use, for people; null if there are none.</summary>
    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
    public string? Reason { get; init; }
}

internal sealed record DiskReport
{
    public required string Name { get; init; }

    /// <summary>okay, failed (its medium) or lost (no node uses it).</summary>
    public required string State { get; init; }

    /// <summary>Why it is lost, for people; null unless it is.</summary>
    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
    public string? Reason { get; init; }

    public required long SizeBytes { get; init; }

    public string? Id { get; init; }

    /// <summary>Path on each node.</summary>
    public IReadOnlyDictionary<string, string> Paths { get; init; } = new SortedDictionary<string, string>(StringComparer.Ordinal);

    /// <summary>Age of the oldest call to it in the kernel of any node that answered; 0 if there is none.</summary>
    public long OldestCallMs { get; init; }

    /// <summary>Bytes of the data area that no volume uses.</summary>
    public long? FreeBytes { get; init; }
}

internal sealed record VolumeStatus
{
    public required string Name { get; init; }

    /// <summary>mirror.</summary>
    public required string Kind { get; init; }

    /// <summary>log or app.</summary>
    public required string Recovery { get; init; }

    /// <summary>one or all.</summary>
    public required string Writers { get; init; }

    /// <summary>unavailable, stale, degraded, resyncing or okay: the first that applies.</summary>
    public required string State { get; init; }

    public required long SizeBytes { get; init; }

    public required int RegionBytes { get; init; }

    /// <summary>Regions with writes in flight or not cleaned yet: normal under load; null if no node answered.</summary>
    public required long? OpenRegions { get; init; }

    /// <summary>Regions whose legs are known to be possibly different; falls to 0. Null if unknown.</summary>
    public required long? StaleRegions { get; init; }

    public required OwnerStatus? Owner { get; init; }

    public required IReadOnlyList<SubmirrorReport> Submirrors { get; init; }

    public required ResyncStatus? Resync { get; init; }

    /// <summary>NBD clients on all nodes that answered; null if none did.</summary>
    public int? Clients { get; init; }

    /// <summary>The oldest submirror I/O that a node waits for now; null if none waits.</summary>
    public WaitStatus? Wait { get; init; }

    /// <summary>The oldest client request that a node holds before its submirror I/O, or after it; null if none does.</summary>
    public HoldStatus? Held { get; init; }

    /// <summary>A client with connections to several nodes gives a request up no earlier than this after sending it.</summary>
    public long ClientTimeoutMs { get; init; }

    /// <summary>True while reads use one leg only, because an ABR writer crashed.</summary>
    public bool ReadPinned { get; init; }

    /// <summary>Since when and why reads are pinned; null while they are not.</summary>
    public ReadPinStatus? ReadPin { get; init; }
}

/// <summary>Why reads of an ABR volume use one leg.</summary>
/// <param name="Since">Time of the first crash that nobody has recovered from.</param>
/// <param name="SinceIndex">Its log index.</param>
/// <param name="Node">The writer that crashed last.</param>
/// <param name="CrashedAt">When.</param>
/// <param name="CrashedAtIndex">Its log index.</param>
internal sealed record ReadPinStatus(DateTimeOffset Since, ulong SinceIndex, string Node, DateTimeOffset CrashedAt, ulong CrashedAtIndex);

/// <summary>Submirror I/O that a node waits for; <c>Requests</c> of the volume are not answered there.</summary>
internal sealed record WaitStatus(string Node, string Submirror, string Disk, long AgeMs, int Requests);

/// <summary>A client request that a node holds.</summary>
/// <param name="Node">Where.</param>
/// <param name="Reason">What it waits for.</param>
/// <param name="On">Node, disk or submirror that this depends on; null if none is known.</param>
/// <param name="AgeMs">Since it came.</param>
/// <param name="Requests">Requests of the volume that are held there.</param>
internal sealed record HoldStatus(string Node, HoldReason Reason, string? On, long AgeMs, int Requests);

/// <summary>Who owns a volume; <c>MovingTo</c> while a transfer runs.</summary>
internal sealed record OwnerStatus(string Node, ulong Epoch)
{
    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
    public string? MovingTo { get; init; }
}

/// <summary>A leg: okay, attached, resyncing, maintenance, lastErred or offline.</summary>
internal sealed record SubmirrorReport(string Name, string State, IReadOnlyList<string> Disks);

internal sealed record ResyncStatus
{
    /// <summary>optimized, component or submirror.</summary>
    public required string Kind { get; init; }

    public required long DoneBytes { get; init; }

    public required long TotalBytes { get; init; }

    public required long? BytesPerSecond { get; init; }

    public required long? EtaSeconds { get; init; }

    public required string? LimitedBy { get; init; }
}

/// <summary>Where a submirror's bytes lie: anyone can compare raw disks with it.</summary>
internal sealed record SubmirrorMap(string Submirror, IReadOnlyList<MapExtent> Extents);

internal sealed record MapExtent(string Disk, string Path, long DiskOffsetBytes, long VolumeOffsetBytes, long LengthBytes);

/// <summary>Who takes part in the replicated log.</summary>
/// <param name="AnsweredBy">The leader if it could be asked.</param>
/// <param name="Leader">Null while none is known.</param>
/// <param name="Term">Term.</param>
/// <param name="Commit">Highest committed index known.</param>
/// <param name="Applied">Highest index applied by the node that answered.</param>
/// <param name="Peers">By number.</param>
internal sealed record RaftPeersDocument(
    string AnsweredBy, string? Leader, ulong Term, ulong Commit, ulong Applied, IReadOnlyList<RaftPeer> Peers)
{
    public string? ClusterName { get; init; }

    /// <summary>Of the cluster's present generation: disaster recovery gives another.</summary>
    public Guid? ClusterId { get; init; }

    /// <summary>A change of membership is not finished.</summary>
    public bool Changing { get; init; }

    /// <summary>Voters' clocks differ, no majority of them agrees, and nobody can tell which is right.</summary>
    public bool ClocksApart { get; init; }
}

/// <param name="Name">Its name.</param>
/// <param name="Id">Its number, never given again.</param>
/// <param name="Address">HOST:PORT of its peer listener.</param>
/// <param name="Role">leader, follower or learner.</param>
/// <param name="Voter">False for a learner.</param>
/// <param name="Match">Highest index durable there; null unless the leader answered.</param>
/// <param name="LagEntries">Entries behind the leader; null unless the leader answered.</param>
/// <param name="Active">The leader has heard from it within an election timeout; null unless the leader answered.</param>
internal sealed record RaftPeer(
    string Name, ushort Id, string Address, string Role, bool Voter, ulong? Match, ulong? LagEntries, bool? Active)
{
    public int Priority { get; init; } = 100;

    /// <summary>member, quarantined, outdated, conflicting, removed, or null if the node did not answer.</summary>
    public string? Standing { get; init; }

    /// <summary>Why it does not serve, for people; else null.</summary>
    public string? Reason { get; init; }

    /// <summary>How far its clock is ahead of a majority of the voters' (negative: behind), ms; null if unknown.</summary>
    public long? ClockAheadMs { get; init; }

    /// <summary>Its clock is so far from a majority of three voters or more that it does not lead.</summary>
    public bool ClockWrong { get; init; }
}

/// <summary>Answer of GET /v1/clock.</summary>
/// <param name="RequestTimeMs">The cluster's time, unix ms, fit for a request id that is made now.</param>
/// <param name="AnsweredBy">Node.</param>
internal sealed record ClockDocument(long RequestTimeMs, string AnsweredBy);

internal sealed record NodesDocument(ulong Index, string AnsweredBy, IReadOnlyList<NodeReport> Nodes);
