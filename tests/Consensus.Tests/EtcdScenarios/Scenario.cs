using System.Globalization;
using System.Text;
using RaftMirror.Consensus.Core;
using RaftMirror.Consensus.Messages;
using RaftMirror.Consensus.Model;

namespace RaftMirror.Consensus.Tests.EtcdScenarios;

/// <summary>
/// Runs the command language of etcd's interaction tests on our cores: nodes with a network of pending messages between them; effects are
/// carried out, messages delivered and writes finished on command only.
///
/// Where the engines are used differently:
/// - "campaign" first lets an election timeout pass everywhere, unless the scenario has check-quorum (ours always has it, and stickiness), and
///   grants the pre-vote, unless the scenario has pre-votes (ours always has them);
/// - "propose-conf-change" adds new members as learners first and promotes them, or removes others, once they have caught up; refused steps are
///   repeated by "stabilize", as an operator would.
/// </summary>
internal sealed class Scenario
{
    private const int MaxRounds = 10_000;
    private const int LostQuorumMarginMs = 2;
    private const int HealRounds = 40;

    private readonly List<ScenarioNode> _nodes = [];
    private readonly List<Envelope> _network = [];
    private readonly SortedSet<ulong> _configurationIndices = [];
    private bool _hasCheckQuorum;
    private bool _hasAsyncWrites;

    public IReadOnlyList<ScenarioNode> Nodes => _nodes;

    public Dictionary<EntryId, SnapshotMeta> Snapshots { get; } = [];

    public bool HasPreVote { get; private set; }

    public ScenarioNode Node(ushort id) => _nodes[id - 1];

    public void Send(in Message message) => _network.Add(new Envelope(message.To, message, WriteDone: 0));

    /// <summary>Remembers where configurations stand: positions are compared without them, since ours take more entries.</summary>
    public void Note(IEnumerable<LogEntry> entries)
    {
        foreach (var entry in entries.Where(entry => entry.Type == EntryType.Configuration)) _configurationIndices.Add(entry.Index);
    }

    /// <summary>The index that this would be without configurations in the log.</summary>
    public ulong Plain(ulong index) => index - (ulong)_configurationIndices.Count(configuration => configuration <= index);

    /// <summary>Executes one command.</summary>
    /// <returns>Its answer, as far as it has one: facts about the state, or that it was refused.</returns>
    public string? Execute(DataDrivenCase command)
    {
        var nodes = command.Nodes;
        switch (command.Command)
        {
            case "log-level":
                return null;
            case "add-nodes":
                AddNodes(command);
                return null;
            case "campaign":
                return Campaign(Node(nodes[0]));
            case "stabilize":
                Stabilize(nodes.Length == 0 ? [.. _nodes] : [.. nodes.Select(Node)]);
                return null;
            case "process-ready":
                foreach (var id in nodes) Node(id).ProcessReady(_hasAsyncWrites);
                return null;
            case "process-append-thread":
                foreach (var id in nodes) FinishOneWrite(Node(id));
                return null;
            case "deliver-msgs":
                foreach (var id in nodes) Deliver(Node(id));
                foreach (var id in command.Values("drop") ?? [])
                    _network.RemoveAll(envelope => envelope.To.Value == ushort.Parse(id, CultureInfo.InvariantCulture) && envelope.WriteDone == 0);
                return null;
            case "tick-heartbeat":
                Node(nodes[0]).Pass(ScenarioNode.HeartbeatMs, tick: true);
                return null;
            case "tick-election":
                for (var passed = 0; passed < ScenarioNode.ElectionTimeoutMs; passed += ScenarioNode.HeartbeatMs)
                    Node(nodes[0]).Pass(ScenarioNode.HeartbeatMs, tick: true);
                return null;
            case "propose":
                var payload = Encoding.UTF8.GetBytes(command.Arguments[1].Key);
                return Node(nodes[0]).Core.Propose([(default, payload)], null, out _) == ProposalRefusal.None ? "taken" : "refused";
            case "propose-conf-change":
                return ProposeChange(Node(nodes[0]), command);
            case "transfer-leadership":
                var target = new NodeId(ushort.Parse(command.Values("to")![0], CultureInfo.InvariantCulture));
                var error = Node(ushort.Parse(command.Values("from")![0], CultureInfo.InvariantCulture)).Core.TransferLeadership(target);
                return error is null ? "taken" : "refused";
            case "compact":
                var core = Node(nodes[0]).Core;
                var to = command.Arguments[1].Key; // Not etcd's: "applied" is as far as possible.
                Compact(Node(nodes[0]), to == "applied" ? core.AppliedIndex : ulong.Parse(to, CultureInfo.InvariantCulture));
                return null;
            case "raft-log":
                return Answers.Log(this, Node(nodes[0]));
            case "raft-state":
                return Answers.State(this);
            case "status":
                return Answers.Status(this, Node(nodes[0]));
            default:
                throw new FormatException($"{command}: unknown command");
        }
    }

    /// <summary>Ends all faults: messages flow, writes end, time passes, and votes are asked for as in earnest.</summary>
    /// <returns>Null once there is one leader and its members have the same log, committed to the end; else what is wrong.</returns>
    public string? Heal()
    {
        HasPreVote = true;
        for (var round = 0; round < HealRounds; round++)
        {
            foreach (var node in _nodes)
            {
                node.Pass(ScenarioNode.HeartbeatMs, tick: true);
                Stabilize([.. _nodes]);
            }
        }

        var leaders = _nodes.Where(node => node.Core.Role == RaftRole.Leader).ToList();
        if (leaders.Count != 1) return $"{leaders.Count} leaders: {Describe()}";
        var leader = leaders[0].Core;
        if (leader.Commit != leader.Log.LastIndex) return $"the leader has committed {leader.Commit} of {leader.Log.LastIndex} entries";
        return leader.Configuration.Members
            .Where(id => id.Value <= _nodes.Count)
            .Select(id => Node(id.Value).Core)
            .Where(core => core.Log.LastId != leader.Log.LastId || core.Commit != leader.Commit || core.Leader != leader.Self)
            .Select(core => $"node {core.Self} has {core.Commit} of {core.Log.LastId}, the leader {leader.Commit} of {leader.Log.LastId}")
            .FirstOrDefault();
    }

    /// <summary>All nodes, for messages.</summary>
    public string Describe() => string.Join(
        "; ",
        _nodes.Select(node => node.Core).Select(core =>
            $"node {core.Self}: {core.Role} of term {core.Term}, commit {core.Commit}, log {core.Log.Base}..{core.Log.LastId}, "
            + $"{core.Configuration} of {core.ConfigurationIndex}"));

    private void AddNodes(DataDrivenCase command)
    {
        foreach (var (key, _) in command.Arguments.Skip(1))
        {
            if (key is not ("voters" or "index" or "prevote" or "checkquorum" or "async-storage-writes"))
                throw new FormatException($"{command}: unknown argument {key}");
        }

        HasPreVote |= command.IsSet("prevote");
        _hasCheckQuorum |= command.IsSet("checkquorum");
        _hasAsyncWrites |= command.IsSet("async-storage-writes");
        var voters = command.Values("voters") ?? [];
        var configuration = new Configuration(voters.Select(id => new NodeId(ushort.Parse(id, CultureInfo.InvariantCulture))));
        var index = command.Values("index") is { } given ? ulong.Parse(given[0], CultureInfo.InvariantCulture) : 0;
        for (int i = command.Nodes[0]; i > 0; i--)
            _nodes.Add(new ScenarioNode(this, new NodeId((ushort)(_nodes.Count + 1)), configuration, index));
    }

    private string Campaign(ScenarioNode node)
    {
        foreach (var other in _nodes.Where(other => other != node && !_hasCheckQuorum))
        {
            // Followers stop waiting for their leader; a leader that nobody answers notices it.
            other.Pass(ScenarioNode.ElectionTimeoutMs + LostQuorumMarginMs, tick: other.Core.Role == RaftRole.Leader && !HasPreVote);
        }

        node.FireElectionTimer();
        if (!HasPreVote)
        {
            foreach (var voter in node.Core.Configuration.Members.Where(id => id != node.Id && node.Core.Configuration.IsVoter(id)))
            {
                if (node.Core.Role != RaftRole.PreCandidate) break;
                node.Core.Step(new Message { Kind = MessageKind.PreVoteReply, From = voter, To = node.Id, Term = node.Core.Term + 1 });
            }
        }

        return node.Core.Role is RaftRole.Candidate or RaftRole.PreCandidate or RaftRole.Leader ? "campaigns" : "refused";
    }

    /// <summary>As etcd's runner: among the given nodes, everything is carried out until nothing is left to do.</summary>
    private void Stabilize(ScenarioNode[] nodes)
    {
        var asked = new HashSet<ScenarioNode>();
        for (var round = 0; round < MaxRounds; round++)
        {
            var worked = false;
            foreach (var node in nodes) worked |= node.ProcessReady(_hasAsyncWrites);
            foreach (var node in nodes) worked |= Deliver(node);
            foreach (var node in nodes)
            {
                if (!node.HasUnfinishedWrites) continue;
                FinishOneWrite(node);
                worked = true;
            }

            if (worked) continue;
            foreach (var node in nodes) worked |= ContinueChange(node, asked);
            if (!worked) return;
        }

        throw new InvalidOperationException("The cluster does not come to rest.");
    }

    public void FinishOneWrite(ScenarioNode node)
    {
        if (node.HasUnfinishedWrites) _network.Add(new Envelope(node.Id, default, node.FinishWrite()));
    }

    private bool Deliver(ScenarioNode node)
    {
        var envelopes = _network.Where(envelope => envelope.To == node.Id).ToList();
        _network.RemoveAll(envelope => envelope.To == node.Id);
        foreach (var envelope in envelopes)
        {
            if (envelope.WriteDone > 0) node.WriteDone(envelope.WriteDone);
            else node.Core.Step(envelope.Message);
        }

        return envelopes.Count > 0;
    }

    /// <summary>Operations of one change: vN, lN, rN. New members come first, as learners.</summary>
    private static string ProposeChange(ScenarioNode node, DataDrivenCase command)
    {
        var additions = new List<MembershipChange>();
        var changes = new List<MembershipChange>();
        foreach (var operation in command.Input.SelectMany(line => line.Split(' ', StringSplitOptions.RemoveEmptyEntries)))
        {
            var id = new NodeId(ushort.Parse(operation.AsSpan(1), CultureInfo.InvariantCulture));
            var member = new Member(id, string.Empty, string.Empty);
            if (operation[0] is 'v' or 'l' && node.Core.Configuration.SlotOf(id) < 0) additions.Add(new(MembershipAction.AddLearner, member));
            if (operation[0] == 'v') changes.Add(new(MembershipAction.Promote, member));
            if (operation[0] == 'l' && node.Core.Configuration.IsVoter(id)) changes.Add(new(MembershipAction.Demote, member));
            if (operation[0] == 'r') changes.Add(new(MembershipAction.Remove, member));
            if (operation[0] is not ('v' or 'l' or 'r')) throw new FormatException($"{command}: unknown operation {operation}");
        }

        // Nothing at all asks to leave a joint configuration, which happens here by itself.
        if (additions.Count + changes.Count == 0) return node.Core.ChangeMembers([], out _) is null ? "taken" : "refused";
        node.Changes.Clear(); // A step that is refused for good must not stand in the way of the next change.
        if (additions.Count > 0) node.Changes.Enqueue([.. additions]);
        if (changes.Count > 0) node.Changes.Enqueue([.. changes]);
        return TryNextChange(node) ? "taken" : "refused";
    }

    private static bool TryNextChange(ScenarioNode node)
    {
        if (node.Core.ChangeMembers(node.Changes.Peek(), out _) is not null) return false;
        node.Changes.Dequeue();
        return true;
    }

    /// <summary>Repeats a refused step; if it is refused again, asks all members with one heartbeat and tries once more.</summary>
    private static bool ContinueChange(ScenarioNode node, HashSet<ScenarioNode> asked)
    {
        if (node.Changes.Count == 0 || node.Core.Role != RaftRole.Leader) return false;
        if (TryNextChange(node)) return true;
        if (!asked.Add(node)) return false;
        node.Pass(ScenarioNode.HeartbeatMs, tick: true);
        return true;
    }

    private void Compact(ScenarioNode node, ulong index)
    {
        if (index <= node.Core.Log.Base.Index) return;
        var last = new EntryId(node.Core.Log.TermAt(index), index);
        Snapshots[last] = new SnapshotMeta(last, node.Core.ConfigurationAt(index), LengthBytes: 0, Crc: 0);
        node.Core.SnapshotTaken(Snapshots[last]);
    }

    /// <param name="To">Whom it is for.</param>
    /// <param name="Message">A message, unless the next says otherwise.</param>
    /// <param name="WriteDone">Not 0: the node's own disk says that this write is done.</param>
    private sealed record Envelope(NodeId To, Message Message, ulong WriteDone);
}
