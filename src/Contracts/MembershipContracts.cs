using System.Text.Json;

namespace RaftMirror.Contracts;

// What is asked and told about the replicated log itself: who takes part, what stands in it, where its snapshots are.

/// <summary>The values of <see cref="MemberRequest.Action"/>.</summary>
internal static class MemberActions
{
    public const string Add = "add";
    public const string Promote = "promote";
    public const string Demote = "demote";
    public const string Remove = "remove";
    public const string Set = "set";
}

/// <summary>Body of POST /v1/raft/members: a change of who takes part. A repeat of one that was done finds it done.</summary>
/// <param name="Action">One of <see cref="MemberActions"/>.</param>
/// <param name="Name">Of the node.</param>
/// <param name="Peer">HOST:PORT of its peer listener, for add and set; null leaves it.</param>
/// <param name="Priority">0 to 255, for add and set; null leaves it.</param>
/// <param name="DryRun">Check only.</param>
/// <param name="TimeoutMs">How long the server may take; then the outcome may be unknown.</param>
internal sealed record MemberRequest(
    string Action, string Name, string? Peer = null, int? Priority = null, bool DryRun = false, int TimeoutMs = 30_000);

/// <summary>One member, as a change left it (or would).</summary>
internal sealed record MemberReport(string Name, ushort Id, string Address, bool Voter, int Priority, int Voters, int Members);

/// <summary>Body of POST /v1/raft/join: a node without a data directory asks to take part.</summary>
/// <param name="Name">Its name.</param>
/// <param name="Peer">HOST:PORT of its peer listener.</param>
/// <param name="IsAdded">It insists on having been added before: its certificate must name its number.</param>
internal sealed record JoinRequest(string Name, string Peer, bool IsAdded);

/// <summary>What a node that joins must know.</summary>
/// <param name="ClusterId">Of the cluster's present generation.</param>
/// <param name="ClusterName">Its name.</param>
/// <param name="Id">The number that the node has been given.</param>
/// <param name="AfterIncarnation">The newest incarnation that was ever registered under this name: its own are higher.</param>
/// <param name="Members">Who takes part, the node included.</param>
internal sealed record JoinDocument(
    Guid ClusterId, string ClusterName, ushort Id, ulong AfterIncarnation, IReadOnlyList<JoinMember> Members);

internal sealed record JoinMember(string Name, ushort Id, string Peer);

/// <summary>Body of POST /v1/raft/reseed.</summary>
/// <param name="Node">The quarantined node.</param>
/// <param name="From">Whose state it takes; null for the leader's.</param>
/// <param name="TimeoutMs">How long the server may take.</param>
internal sealed record ReseedBody(string Node, string? From, int TimeoutMs = 30_000);

/// <summary>A part of one node's log, the newest entries last.</summary>
/// <param name="AnsweredBy">Whose log.</param>
/// <param name="First">Lowest index that its log still has; what is below is covered by a snapshot.</param>
/// <param name="Last">Highest.</param>
/// <param name="Committed">Highest index that it knows to be committed.</param>
/// <param name="Entries">In order.</param>
internal sealed record RaftLogDocument(
    string AnsweredBy, ulong First, ulong Last, ulong Committed, IReadOnlyList<RaftLogEntry> Entries);

/// <summary>An entry of the log.</summary>
/// <param name="Index">Its place.</param>
/// <param name="Term">In which it was appended.</param>
/// <param name="Kind">command, configuration, digest or noop.</param>
/// <param name="Proposer">Name of the node that proposed it; null for the leader's own.</param>
/// <param name="Bytes">Of its payload.</param>
/// <param name="Committed">By this node's knowledge.</param>
/// <param name="Type">A command's type; null for others.</param>
/// <param name="Configuration">Who takes part from here on, as text; null for others.</param>
/// <param name="Command">The command as it stands in the log; null for others.</param>
internal sealed record RaftLogEntry(
    ulong Index, ulong Term, string Kind, string? Proposer, int Bytes, bool Committed, string? Type, string? Configuration, JsonElement? Command);

/// <summary>The snapshots on every node that answered.</summary>
internal sealed record RaftSnapshotsDocument(string AnsweredBy, IReadOnlyList<RaftSnapshot> Snapshots);

/// <param name="Node">Whose disk.</param>
/// <param name="Index">Last entry that it covers.</param>
/// <param name="Term">That entry's.</param>
internal sealed record RaftSnapshot(string Node, ulong Index, ulong Term);
