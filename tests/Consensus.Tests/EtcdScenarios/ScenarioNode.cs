using RaftMirror.Consensus.Core;
using RaftMirror.Consensus.Messages;
using RaftMirror.Consensus.Model;
using RaftMirror.Primitives;

namespace RaftMirror.Consensus.Tests.EtcdScenarios;

/// <summary>One core of a scenario with its disk, its clock and its unsent messages. Nothing happens by itself: the scenario says when
/// effects are carried out, when a write is done and when time passes.</summary>
internal sealed class ScenarioNode
{
    public const int HeartbeatMs = 100;

    /// <summary>Three heartbeats, as in etcd's runner, without chance.</summary>
    public const int ElectionTimeoutMs = 300;

    private readonly Scenario _scenario;
    private readonly Queue<WriteBatch> _writes = new();
    private readonly List<OutboundMessage> _held = [];
    private ulong _doneSequence;

    public ScenarioNode(Scenario scenario, NodeId id, Configuration configuration, ulong index)
    {
        _scenario = scenario;
        var options = new RaftCoreOptions
        {
            HeartbeatMs = HeartbeatMs,
            ElectionTimeoutMinMs = ElectionTimeoutMs,
            ElectionTimeoutMaxMs = ElectionTimeoutMs + 1,
            DiskStallMs = int.MaxValue / 2,
            PriorityStableMs = int.MaxValue,
            MaxRetainedBytes = 0, // A snapshot is taken only where a scenario compacts, and to there.
        };

        // Where etcd starts from a snapshot of term 1 while in term 0, we start from one of term 0: only differences of terms matter.
        var start = new EntryId(0, index);
        SnapshotMeta? snapshot = null;
        if (index > 0)
        {
            snapshot = new SnapshotMeta(start, configuration, LengthBytes: 0, Crc: 0);
            scenario.Snapshots[start] = snapshot;
        }

        DurableStart = index;
        Core = new RaftCore(id, configuration, options, default, start, [], snapshot, new Xoshiro(id.Value), nowMs: 0);
    }

    public RaftCore Core { get; }

    public NodeId Id => Core.Self;

    public long NowMs { get; private set; }

    /// <summary>What a crash would leave.</summary>
    public List<LogEntry> DurableLog { get; } = [];

    /// <summary>The index before the first one of <see cref="DurableLog"/>.</summary>
    public ulong DurableStart { get; private set; }

    public bool HasUnfinishedWrites => _writes.Count > 0;

    /// <summary>Steps of a change of membership that are still to be proposed here.</summary>
    public Queue<MembershipChange[]> Changes { get; } = new();

    /// <summary>Lets time pass on this node alone.</summary>
    public void Pass(long milliseconds, bool tick)
    {
        NowMs += milliseconds;
        if (tick) Core.Tick(NowMs);
        else Core.AdvanceClock(NowMs);
    }

    /// <summary>The election timer fires now.</summary>
    public void FireElectionTimer() => Pass(Math.Max(0, Core.NextDeadlineMs - NowMs), tick: true);

    /// <summary>Carries out what the core asks for: etcd's "handling Ready". Writes are done at once, unless they are asynchronous.</summary>
    /// <returns>False if there was nothing to do.</returns>
    public bool ProcessReady(bool asyncWrites)
    {
        var worked = false;
        for (var again = true; again;)
        {
            again = false;
            var ready = Core.TakeReady();
            worked |= ready.Messages.Count > 0 || ready.Write is not null || ready.Committed.Count > 0 || ready.Offer is not null
                || ready.Installed is not null || ready.StateChanged;
            if (ready.Write is { } write) _writes.Enqueue(write);
            foreach (var message in ready.Messages) Send(message);
            if (ready.Installed is { } installed) Core.Applied(installed.Last.Index);
            if (ready.Committed.Count > 0) Core.Applied(ready.Committed[^1].Index);
            if (ready.Offer is { } offer)
            {
                Core.InstallSnapshot(_scenario.Snapshots[offer.Last]);
                again = true;
            }

            while (!asyncWrites && _writes.Count > 0) WriteDone(FinishWrite());
        }

        // A candidate asks for votes once its own is durable; etcd's asks at once. So that the question is on its way when the scenario
        // expects it, this write does not wait for a command.
        while (_held.Any(held => held.Message.Kind == MessageKind.Vote)) _scenario.FinishOneWrite(this);

        return worked;
    }

    /// <summary>The oldest write reaches the disk; the core is told later, by <see cref="WriteDone"/>.</summary>
    /// <returns>Its sequence number.</returns>
    public ulong FinishWrite()
    {
        var write = _writes.Dequeue();
        if (write.IsReset)
        {
            DurableLog.Clear();
            DurableStart = write.Previous.Index;
        }

        if (write.Entries.Length > 0)
        {
            DurableLog.RemoveAll(entry => entry.Index >= write.Entries[0].Index);
            DurableLog.AddRange(write.Entries);
            _scenario.Note(write.Entries);
        }

        _doneSequence = write.Sequence;
        foreach (var message in _held.Where(held => held.ReleaseAfter <= _doneSequence).ToList())
        {
            _held.Remove(message);
            _scenario.Send(message.Message);
        }

        return write.Sequence;
    }

    public void WriteDone(ulong sequence) => Core.WriteDone(sequence);

    private void Send(in OutboundMessage message)
    {
        // Where etcd has no pre-votes, the scenario granted them: nobody is asked.
        if (message.Message.Kind == MessageKind.PreVote && !_scenario.HasPreVote) return;
        if (message.ReleaseAfter <= _doneSequence) _scenario.Send(message.Message);
        else _held.Add(message);
    }
}
