using System.Text;
using RaftMirror.Conformance;
using RaftMirror.Consensus.Model;

namespace RaftMirror.Consensus.Tests.Conformance;

/// <summary>
/// A second backend of the seam, all in memory under one lock: it shows that the suite asks for nothing that is our engine's alone, and, with
/// a <see cref="MemoryBug"/>, that the suite can fail. Commits happen at once while a majority runs and hears each other; nodes apply
/// when somebody waits for it.
/// </summary>
internal sealed class MemoryCluster : ILogCluster
{
    private readonly SortedDictionary<NodeId, MemoryLog> _running = [];
    private readonly HashSet<NodeId> _isolated = [];
    private readonly HashSet<NodeId> _gone = [];
    private readonly TimeSpan _limit;
    private LogPosition _beginning;

    public MemoryCluster(int size, TimeSpan? requestLimit, MemoryBug bug)
    {
        Bug = bug;
        _limit = requestLimit ?? TimeSpan.FromSeconds(15);
        for (ushort id = 1; id <= size; id++) Members.Add(new NodeId(id), (AddressOf(new NodeId(id)), true));
        foreach (var id in Members.Keys) Start(id);
    }

    public object Gate { get; } = new();

    public MemoryBug Bug { get; }

    public TimeSpan RequestLimit => _limit;

    public List<LedgerEntry> Log { get; } = [];

    public SortedDictionary<NodeId, (string Address, bool IsVoter)> Members { get; } = [];

    public NodeId? Leader { get; private set; }

    public ulong Epoch { get; private set; }

    public IReadOnlyList<NodeId> Running => [.. _running.Keys];

    public bool CanIsolate => true;

    public IReplicatedLog LogOf(NodeId node) => _running[node];

    public LedgerMachine MachineOf(NodeId node) => _running[node].Machine;

    public string AddressOf(NodeId node) => $"127.0.0.1:{10000 + node.Value}";

    public Task StartAsync(NodeId node)
    {
        lock (Gate) Start(node);
        return Task.CompletedTask;
    }

    public Task JoinAsync(NodeId node) => StartAsync(node);

    public Task StopAsync(NodeId node)
    {
        lock (Gate)
        {
            _running.Remove(node, out var stopped);
            stopped!.Stop();
            Elect();
        }

        return Task.CompletedTask;
    }

    public Task KillAsync(NodeId node)
    {
        lock (Gate)
        {
            if (Bug == MemoryBug.LosesTheLast && Leader == node && Log.Count > 0)
            {
                Log.RemoveAt(Log.Count - 1);
                foreach (var log in _running.Values) log.Forget();
            }
        }

        return StopAsync(node);
    }

    public void Isolate(NodeId node)
    {
        lock (Gate)
        {
            _isolated.Add(node);
            Elect();
        }
    }

    public void Heal()
    {
        lock (Gate)
        {
            _isolated.Clear();
            Elect();
        }
    }

    public async ValueTask DisposeAsync()
    {
        foreach (var node in Running) await StopAsync(node);
    }

    /// <summary>Does this node belong to a majority that works? Under the gate.</summary>
    public bool Serves(NodeId node)
    {
        if (!_running.ContainsKey(node) || _isolated.Contains(node)) return false;
        var voters = Members.Where(member => member.Value.IsVoter).Select(member => member.Key).ToList();
        return voters.Count(IsReachable) > voters.Count / 2;
    }

    /// <summary>Appends a command; whoever waits applies. Under the gate.</summary>
    public LogPosition Append(string command)
    {
        var position = new LogPosition((Log.Count == 0 ? _beginning.Value : Log[^1].Position.Value) + 3);
        Log.Add(new LedgerEntry(position, Epoch, command));
        foreach (var log in _running.Values.Where(log => Serves(log.Self))) log.Wake();
        return position;
    }

    public string? Transfer(NodeId? target)
    {
        lock (Gate)
        {
            if (Leader is null) return "no leader is known";
            var to = target ?? Members.Keys.First(node => node != Leader);
            if (!Serves(to) || !Members.TryGetValue(to, out var member) || !member.IsVoter) return $"node {to} cannot lead";
            if (to != Leader) Lead(to);
            return null;
        }
    }

    public string? Change(MembershipChange change)
    {
        lock (Gate)
        {
            if (Leader is null) return "no leader is known";
            var id = change.Member.Id;
            var isKnown = Members.TryGetValue(id, out var member);
            switch (change.Action)
            {
                case MembershipAction.AddLearner when isKnown || (_gone.Contains(id) && Bug != MemoryBug.ReusesNumbers):
                    return $"number {id} is taken";
                case MembershipAction.AddLearner:
                    Members[id] = (change.Member.Address, false);
                    break;
                case MembershipAction.Promote when isKnown:
                    Members[id] = (member.Address, true);
                    break;
                case MembershipAction.Remove when isKnown:
                    Members.Remove(id);
                    _gone.Add(id);
                    break;
                default:
                    return $"node {id} is no member";
            }

            Elect();
            Tell();
            return null;
        }
    }

    private bool IsReachable(NodeId node) => _running.ContainsKey(node) && !_isolated.Contains(node);

    private void Start(NodeId node)
    {
        if (Bug == MemoryBug.ForgetsAtRestart && Log.Count > 0 && _running.Count == 0)
        {
            _beginning = Log[^1].Position;
            Log.Clear();
        }

        _running.Add(node, new MemoryLog(this, node));
        Elect();
    }

    private void Elect()
    {
        if (Leader is { } leader && Serves(leader) && Members.ContainsKey(leader))
        {
            foreach (var log in _running.Values) log.Wake();
            return;
        }

        foreach (var (node, (_, isVoter)) in Members)
        {
            if (!isVoter || !Serves(node)) continue;
            Lead(node);
            return;
        }

        Leader = null;
        Tell();
    }

    private void Lead(NodeId node)
    {
        Leader = node;
        if (Bug != MemoryBug.SameEpoch || Epoch == 0) Epoch++;
        if (Bug == MemoryBug.AppendsTwice && Log.Count > 0) Append(Log[^1].Command);
        Tell();
    }

    private void Tell()
    {
        foreach (var log in _running.Values)
        {
            log.Tell();
            log.Wake();
        }
    }

    public static string Text(ReadOnlyMemory<byte> command) => Encoding.UTF8.GetString(command.Span);
}
