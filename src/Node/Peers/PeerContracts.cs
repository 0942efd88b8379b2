using System.Text.Json.Serialization;
using RaftMirror.Contracts;
using RaftMirror.Node.State;

namespace RaftMirror.Node.Peers;

/// <summary>Names of the requests between daemons (<see cref="Consensus.IPeerRpc"/>).</summary>
internal static class PeerMethods
{
    /// <summary>A command for the leader: <see cref="CommandRequest"/> → <see cref="ApiResult"/>.</summary>
    public const string Submit = "command.submit";

    /// <summary>A command made by a node's daemon itself, for the leader: an envelope → <see cref="ApiResult"/>.</summary>
    public const string SubmitInternal = "command.internal";

    /// <summary>A lease renewal, for the leader.</summary>
    public const string RenewLease = "lease.renew";

    /// <summary>Do you hear me?</summary>
    public const string Ping = "peer.ping";

    /// <summary>A node's wall clock, and on the leader the cluster's time.</summary>
    public const string ReadClock = "clock.read";

    /// <summary>The leader's view of the voters.</summary>
    public const string RaftPeers = "peers.read";

    /// <summary>Hand leadership over, for the leader.</summary>
    public const string RaftTransfer = "leadership.transfer";

    /// <summary>A change of membership, for the leader: <see cref="MemberRequest"/> → <see cref="ApiResult"/>.</summary>
    public const string ChangeMembers = "members.change";

    /// <summary>A new node that wants to take part, for the leader: <see cref="JoinRequest"/> → <see cref="ApiResult"/>.</summary>
    public const string JoinCluster = "members.join";

    /// <summary>This node's snapshots.</summary>
    public const string Snapshots = "snapshots.list";

    /// <summary>This node's live figures.</summary>
    public const string Live = "live.read";

    /// <summary>Spans of this node's ring.</summary>
    public const string Spans = "spans.read";

    /// <summary>Can this node use a disk for a set?</summary>
    public const string CheckDisk = "disk.check";

    /// <summary>Do we see the same disk? <see cref="ProofRequest"/> → <see cref="ProofReply"/>.</summary>
    public const string ProveDisk = "disk.prove";


    /// <summary>Does a disk of a set answer this node now? <see cref="ProbeDiskRequest"/> → <see cref="ProbeDiskReply"/>.</summary>
    public const string ProbeDisk = "disk.probe";

    /// <summary>Has a volume clients here?</summary>
    public const string CheckDelete = "mirror.checkDelete";

    /// <summary>Drain a set and leave it.</summary>
    public const string LeaveSet = "set.leave";

    /// <summary>Replace this node's quarantined state by another's: <see cref="ReseedRequest"/> → <see cref="ApiResult"/>.</summary>
    public const string Reseed = "state.reseed";

    /// <summary>A datagram between the data planes of one set.</summary>
    public const string SetMessage = "set.message";
}

/// <summary>Asks for a lease, names the live nodes that it does not hear any more, and says how far it has applied the log.</summary>
internal sealed record RenewRequest(string Node, ulong Incarnation, IReadOnlyList<string>? Unheard = null, ulong? Enacted = null);

internal sealed record PingRequest(ulong Incarnation);

/// <param name="Incarnation">Of the node that answers.</param>
/// <param name="HearsYou">It hears the incarnation that asks.</param>
internal sealed record PingReply(ulong Incarnation, bool HearsYou);

/// <summary>A grant, or why not. Times in ms.</summary>
internal sealed record RenewReply(
    bool IsGranted, long LengthMs, ulong MinIndex, ulong Epoch, ulong Incarnation, long HorizonMs, string? Reason);

/// <param name="UnixMs">The node's wall clock.</param>
/// <param name="RequestTimeMs">A time for a request id made now; null unless the node leads and knows it.</param>
internal sealed record ClockReply(long UnixMs, long? RequestTimeMs);

/// <summary>What a node is asked about a disk.</summary>
/// <param name="Set">The set it shall join.</param>
/// <param name="SetId">Its id.</param>
/// <param name="ClusterId">The cluster's id.</param>
/// <param name="DiskId">The id that the disk shall have; also the nonce of the stamp.</param>
/// <param name="Path">Path on the node asked.</param>
/// <param name="IsDirectIo">Open mode.</param>
/// <param name="MetadataBytes">Size of the metadata area.</param>
/// <param name="MaxNodes">Slots.</param>
/// <param name="Generation">Label generation.</param>
/// <param name="Step">Which step.</param>
/// <param name="StampNumber">Stamp that its label will carry.</param>
/// <param name="StampNonce">That stamp's nonce.</param>
/// <param name="StampActivation">That stamp's activation.</param>
internal sealed record DiskRequest(
    string Set,
    Guid SetId,
    Guid ClusterId,
    Guid DiskId,
    string Path,
    bool IsDirectIo,
    long MetadataBytes,
    int MaxNodes,
    ulong Generation,
    DiskStep Step,
    ulong StampNumber = 0,
    Guid StampNonce = default,
    ulong StampActivation = 0)
{
    /// <summary>What stands on the disk may be lost.</summary>
    public bool IsOverwrite { get; init; }

    /// <summary>For <see cref="DiskStep.Restore"/>: the head and tail block that the stamp was written over; null if they were blank.</summary>
    public byte[]? Kept { get; init; }

    /// <summary>Of the leader that adds the disk: one that has been followed by another does nothing to disks any more.</summary>
    public ulong Term { get; init; }
}

/// <summary>Steps of adding a disk, in order.</summary>
internal enum DiskStep
{
    /// <summary>Look only: is it a disk that this set may take?</summary>
    Probe,

    /// <summary>Write the stamp, keeping what was there.</summary>
    Stamp,

    /// <summary>Read the stamp: is it the same disk here?</summary>
    ReadStamp,

    /// <summary>Write the label over the stamp.</summary>
    Label,

    /// <summary>Put back what was there before the stamp.</summary>
    Restore,

    /// <summary>Look only: is it the disk that has been added already?</summary>
    Recognize,
}

internal sealed record DiskReply(bool IsOk, string Message, long SizeBytes, int SectorBytes)
{
    /// <summary>Of <see cref="DiskStep.Stamp"/> on a disk that was not blank: its head and tail block.</summary>
    public byte[]? Kept { get; init; }
}

/// <param name="Set">Set.</param>
/// <param name="Disk">Disk.</param>
/// <param name="Offset">Of bytes that are to be read as well.</param>
/// <param name="Length">How many; 0: none.</param>
internal sealed record ProbeDiskRequest(string Set, string Disk, long Offset = 0, long Length = 0);

internal sealed record ProbeDiskReply(DataPlane.DiskIo.Core.DiskAnswer Answer);

internal sealed record DeleteCheckRequest(string Set, string Volume);

internal sealed record DeleteCheckReply(bool IsOk, string Message);

internal sealed record LeaveSetRequest(string Set, ClientRequest Client, int TimeoutMs);

/// <summary>A client's request, for the node that proposes it in the client's place.</summary>
/// <param name="Id">Request id.</param>
/// <param name="Digest">Of what was asked.</param>
internal sealed record ClientRequest(Guid Id, string Digest);

/// <summary>One node's live figures.</summary>
internal sealed record NodeFigures(string Node, int NbdClients, IReadOnlyList<VolumeFigures> Volumes)
{
    /// <summary>Disks of its sets.</summary>
    public IReadOnlyList<DiskFigures> Disks { get; init; } = [];

    /// <summary>Why it does not serve; null if it may.</summary>
    public ServiceBar.Bar? Barred { get; init; }

    /// <summary>What has run out on it.</summary>
    public IReadOnlyList<HealthCause> Causes { get; init; } = [];

    /// <summary>Live nodes that it does not hear, or that do not hear it.</summary>
    public IReadOnlyList<string> Unheard { get; init; } = [];

    /// <summary>Its log has room.</summary>
    public bool HasRoom { get; init; } = true;
}

/// <summary>One volume on one node.</summary>
internal sealed record VolumeFigures(
    string Name, long OpenRegions, long StaleRegions, int Clients, ResyncFigures? Resync)
{
    /// <summary>Why clients were lately answered that there is no space; null if they were not.</summary>
    public string? Full { get; init; }

    /// <summary>The oldest leg I/O that the node waits for.</summary>
    public WaitFigures? Wait { get; init; }

    /// <summary>The oldest client request that is held.</summary>
    public HoldFigures? Held { get; init; }
}

/// <summary>A client request without leg I/O under way.</summary>
internal sealed record HoldFigures(HoldReason Reason, string? On, long AgeMs, int Requests);

/// <summary>Leg I/O that is waited for.</summary>
internal sealed record WaitFigures(string Leg, string Disk, long AgeMs, int Requests);

/// <summary>One disk on one node.</summary>
/// <param name="Name">SET/DISK.</param>
/// <param name="OldestMs">Age of its oldest call in the kernel; 0 for none.</param>
/// <param name="Calls">Calls in the kernel.</param>
/// <param name="Phase">fine, slow, hangs, allSlow or onlyHere.</param>
internal sealed record DiskFigures(string Name, long OldestMs, int Calls, string Phase)
{
    /// <summary>Its size if it has grown; 0 else.</summary>
    public long GrownToBytes { get; init; }

    /// <summary>Its path leads to it no more.</summary>
    public bool IsPathGone { get; init; }
}

internal sealed record ResyncFigures(string Kind, long DoneBytes, long TotalBytes, long BytesPerSecond);

internal sealed record TransferRequest(string? To, int TimeoutMs);

/// <param name="From">Whose state to take; null for the leader's.</param>
/// <param name="TimeoutMs">How long it may take.</param>
internal sealed record ReseedRequest(string? From, int TimeoutMs);

/// <summary>A command that a node's daemon makes itself.</summary>
/// <param name="Id">UUIDv7.</param>
/// <param name="Envelope">As the log would hold it (<c>CommandCodec</c>); the leader puts its own stamp and the sender in.</param>
internal sealed record InternalCommand(Guid Id, string Envelope);

[JsonSourceGenerationOptions(
    PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase,
    UseStringEnumConverter = true,
    DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull)]
[JsonSerializable(typeof(ReseedRequest))]
[JsonSerializable(typeof(MemberRequest))]
[JsonSerializable(typeof(JoinRequest))]
[JsonSerializable(typeof(RaftSnapshot[]))]
[JsonSerializable(typeof(RenewRequest))]
[JsonSerializable(typeof(PingRequest))]
[JsonSerializable(typeof(PingReply))]
[JsonSerializable(typeof(RenewReply))]
[JsonSerializable(typeof(ClockReply))]
[JsonSerializable(typeof(DiskRequest))]
[JsonSerializable(typeof(DiskReply))]
[JsonSerializable(typeof(ProofRequest))]
[JsonSerializable(typeof(ProofReply))]
[JsonSerializable(typeof(ProbeDiskRequest))]
[JsonSerializable(typeof(ProbeDiskReply))]
[JsonSerializable(typeof(DeleteCheckRequest))]
[JsonSerializable(typeof(DeleteCheckReply))]
[JsonSerializable(typeof(LeaveSetRequest))]
[JsonSerializable(typeof(NodeFigures))]
[JsonSerializable(typeof(TransferRequest))]
[JsonSerializable(typeof(InternalCommand))]
[JsonSerializable(typeof(ControlPlane.Model.ResultData))]
[JsonSerializable(typeof(string))]
[JsonSerializable(typeof(System.Text.Json.JsonElement))]
[JsonSerializable(typeof(CommandRequest))]
[JsonSerializable(typeof(ApiResult))]
[JsonSerializable(typeof(RaftPeersDocument))]
[JsonSerializable(typeof(SpanQuery))]
[JsonSerializable(typeof(SpanRecord[]))]
internal sealed partial class DaemonJson : JsonSerializerContext;
