using System.Globalization;
using RaftMirror.Consensus;
using RaftMirror.Consensus.Core;
using RaftMirror.Consensus.Messages;
using RaftMirror.Primitives;

namespace RaftMirror.Simulation.Harness;

/// <summary>Network, faults, clients, healing.</summary>
internal sealed partial class ClusterSimulation
{
    private void ScheduleFaults()
    {
        Every(_parameters.CrashEveryMs, () =>
        {
            if (!_isHealed && PickUp() is { } node) Crash(node, power: _random.Chance(0.7));
        });
        Every(_parameters.PauseEveryMs, () =>
        {
            if (!_isHealed && PickUp() is { IsPaused: false } node) Pause(node, 100 + _random.Next(2000));
        });
        Every(_parameters.PartitionEveryMs, Partition);
        Every(_parameters.TransferEveryMs, () =>
        {
            if (_isHealed || PickUp() is not { Core.Role: RaftRole.Leader } node) return;
            NodeId? target = _random.Chance(0.3) ? null : _configuration.Members[_random.Next(_configuration.Members.Length)];
            Step(node, core => core.TransferLeadership(target));
        });
    }

    private SimNode? PickUp()
    {
        var node = _nodes[_configuration.Members[_random.Next(_nodes.Count)]];
        return node.IsUp ? node : null;
    }

    private void Pause(SimNode node, int lengthMs)
    {
        Trace("pause", node.Id);
        node.IsPaused = true;
        var incarnation = node.Incarnation;
        At(lengthMs, () =>
        {
            if (node.Incarnation == incarnation && node.IsPaused) Resume(node);
        });
    }

    private void Resume(SimNode node)
    {
        Trace("resume", node.Id);
        node.IsPaused = false;
        Action[] waiting = [.. node.WhilePaused];
        node.WhilePaused.Clear();
        foreach (var action in waiting) action();
    }

    private void Partition()
    {
        _cut.Clear();
        if (_isHealed || _random.Chance(0.3)) return;
        var isSymmetric = _random.Chance(0.6);
        var aim = _parameters.LateEchoChance > 0 && _random.Chance(0.7)
            ? _nodes.Values.FirstOrDefault(node => node.Core?.Role == RaftRole.Leader)?.Id
            : null;
        var side = new HashSet<NodeId>(_configuration.Members.Where(id => aim is null ? _random.Chance(0.5) : id == aim));
        foreach (var from in _configuration.Members)
        {
            foreach (var to in _configuration.Members)
            {
                var crosses = side.Contains(from) != side.Contains(to);
                if (crosses && (isSymmetric || side.Contains(from))) _cut.Add((from, to));
            }
        }

        Trace("partition", default, (ulong)_cut.Count);
    }

    private void Transmit(Message message)
    {
        var copies = 1;
        if (!_isHealed)
        {
            if (_cut.Contains((message.From, message.To)) || _random.Chance(_parameters.Loss)) return;
            if (_random.Chance(_parameters.Duplication)) copies++;
        }

        // Through the wire format, as in production.
        var bytes = new byte[MessageCodec.Length(message)];
        MessageCodec.Encode(message, bytes);
        for (; copies > 0; copies--)
        {
            var late = !_isHealed && message.Kind == MessageKind.HeartbeatReply && _random.Chance(_parameters.LateEchoChance)
                ? _random.Next(1200)
                : 0;
            At(late + DrawDelay(), () => Receive(bytes, message.From, message.To));
        }
    }

    private long DrawDelay()
    {
        var delay = 1 + _random.Next(_isHealed ? 3 : _parameters.DelayMs);
        if (!_isHealed && _random.Chance(_parameters.SlowChance)) delay += _random.Next(1500);
        return delay;
    }

    private void Receive(byte[] bytes, NodeId from, NodeId to)
    {
        var node = _nodes[to];
        if (!node.IsUp) return;
        var error = MessageCodec.TryDecode(bytes, from, to, out var message);
        ClusterChecker.Require(error is null, $"a message of node {from} does not decode: {error}");
        Trace(message.Kind.ToString(), to, message.Term, message.Log.Index);
        Step(node, core => core.Step(message));
    }

    private const ulong MaxUncommitted = 256;

    private void ProposeSomewhere()
    {
        if (_isResting || PickUp() is not { Core.Role: RaftRole.Leader, IsPaused: false } node) return;
        if (_workload.NextCommand(node.Id, _random) is { } command) Propose(node, command, expectedTerm: null);
    }

    private bool Propose(SimNode node, ReadOnlyMemory<byte> command, ulong? expectedTerm)
    {
        // Real proposers wait for their answers. Without that bound a slow network's backlog grows for ever, and a cluster that is
        // healed never comes to rest.
        if (node.Core is { } busy && busy.Log.LastIndex - busy.Commit > MaxUncommitted) return false;
        var isTaken = false;
        Step(node, core =>
        {
            var id = new ProposalId(node.Id.Value, node.Incarnation, ++node.ProposalSequence);
            isTaken = core.Propose([(id, command)], expectedTerm, out _) == Refusal.None;
            if (isTaken) node.Proposals.Add(id.Sequence, command);
        });
        return isTaken;
    }

    private void ReadSomewhere()
    {
        if (PickUp() is { Core.Role: RaftRole.Leader, IsPaused: false } node) BeginRead(node, confirmed: null);
    }

    private void BeginRead(SimNode node, Action? confirmed)
    {
        var token = ++node.ReadToken;
        node.Reads.Add(token, new PendingRead(_checker.AcknowledgedIndex, confirmed));
        Step(node, core => core.Read(token));
    }

    private void Heal()
    {
        Trace("heal", default);
        _isHealed = true;
        _cut.Clear();
        foreach (var node in _nodes.Values)
        {
            node.Disk.FailNextFlush = false;
            if (!node.IsUp) Boot(node);
            else if (node.IsPaused) Resume(node);
        }

        _healedAtCommit = (ulong)_checker.CommittedCount;
        _healedAtAcknowledged = Acknowledged;
        _healedAtReads = Reads;
    }

    private ulong _healedAtCommit;
    private long _healedAtAcknowledged;
    private long _healedAtReads;

    /// <summary>Under load, since it was healed: proposals and reads were answered, and everyone has what was committed before.</summary>
    private bool HasServed() =>
        Acknowledged > _healedAtAcknowledged && Reads > _healedAtReads
        && _nodes.Values.All(node => node.Core is { } core && core.AppliedIndex >= _healedAtCommit);

    /// <summary>One leader whom all follow, nothing owed, everyone has applied the same.</summary>
    private bool IsConverged()
    {
        var leader = _nodes.Values.FirstOrDefault(node => node.Core?.Role == RaftRole.Leader);
        if (leader is null || _workload.Unsettled(leader.StateMachine!) is not null) return false;
        return _nodes.Values.All(node =>
            node.Core is { } core && core.Leader == leader.Id && core.Term == leader.Core!.Term
            && core.Log.LastIndex == leader.Core.Log.LastIndex && core.AppliedIndex == core.Log.LastIndex);
    }

    private string Describe() => string.Join("; ", _nodes.Values.Select(node => node.Core is { } core
        ? string.Create(
            CultureInfo.InvariantCulture,
            $"node {node.Id} {core.Role} term {core.Term} leader {core.Leader} last {core.Log.LastIndex} commit {core.Commit} applied {core.AppliedIndex}")
        : $"node {node.Id} down"))
        + string.Concat(_nodes.Values.Where(node => node.Core?.Role == RaftRole.Leader).Select(node => $"; owed: {_workload.Unsettled(node.StateMachine!)}"));
}
