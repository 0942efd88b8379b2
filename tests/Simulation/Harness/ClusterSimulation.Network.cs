using RaftMirror.Consensus.Core;
using RaftMirror.Consensus.Messages;
using RaftMirror.Consensus.Model;

namespace RaftMirror.Simulation.Harness;

/// <content>The network.</content>
internal sealed partial class ClusterSimulation
{
    private readonly HashSet<(NodeId From, NodeId To)> _cut = [];

    /// <summary>Cuts links anew: in two halves, one node off, one direction only, a ring, or two halves with one bridge.</summary>
    private void Partition()
    {
        _cut.Clear();
        if (_isHealed || _random.Chance(0.3)) return;
        NodeId[] ids = [.. _nodes.Keys];
        var isSymmetric = _random.Chance(0.6);
        var kind = _random.Next(10);
        if (kind < 2 && ids.Length > 2)
        {
            var bridge = ids[_random.Next(ids.Length)];
            for (var i = 0; i < ids.Length; i++)
            {
                for (var j = 0; j < ids.Length; j++)
                {
                    var isLinked = kind == 0
                        ? (i + 1) % ids.Length == j || (j + 1) % ids.Length == i
                        : ids[i] == bridge || ids[j] == bridge || i % 2 == j % 2;
                    if (i != j && !isLinked) _cut.Add((ids[i], ids[j]));
                }
            }
        }
        else
        {
            var aim = (_parameters.LateEchoChance > 0 && _random.Chance(0.7)) || kind < 4
                ? _nodes.Values.FirstOrDefault(node => node.Core?.Role == RaftRole.Leader)?.Id
                : null;
            var side = new HashSet<NodeId>(ids.Where(id => aim is null ? _random.Chance(0.5) : id == aim));
            CutOff(side, isSymmetric);
        }

        Trace("partition", default, (ulong)_cut.Count);
    }

    private void CutOff(HashSet<NodeId> side, bool isSymmetric)
    {
        foreach (var from in _nodes.Keys)
        {
            foreach (var to in _nodes.Keys)
            {
                var crosses = side.Contains(from) != side.Contains(to);
                if (crosses && (isSymmetric || side.Contains(from))) _cut.Add((from, to));
            }
        }
    }

    private void Transmit(Message message)
    {
        var copies = 1;
        if (_nodes[message.From].KnownOld is not null && message.Kind is not (MessageKind.Claim or MessageKind.ClaimReply))
            throw new SimulationException($"14.24: node {message.From}, which knows that its directory is old, sends {message}");
        if (_cut.Contains((message.From, message.To))) return;
        if (!_isHealed)
        {
            if (_random.Chance(_parameters.Loss)) return;
            if (_random.Chance(_parameters.Duplication)) copies++;
            if (message.Kind == MessageKind.TimeoutNow && _parameters.LeaseReads && _random.Chance(0.5)) Deafen(message.From);
        }

        // Through the wire format, as in production.
        var bytes = new byte[MessageCodec.Length(message)];
        MessageCodec.Encode(message, bytes);
        for (; copies > 0; copies--)
        {
            var late = !_isHealed && message.Kind == MessageKind.HeartbeatReply && _random.Chance(_parameters.LateEchoChance)
                ? _random.Next(1200)
                : 0;
            if (!_isHealed && message.Kind == MessageKind.ClaimReply && _parameters.SlowClaimChance > 0 && _random.Chance(_parameters.SlowClaimChance))
                late += _random.Next(8000);
            At(late + DrawDelay(), () => Receive(bytes, message.From, message.To));
        }
    }

    /// <summary>A leader that has handed over hears nothing of its successor for a while.</summary>
    private void Deafen(NodeId leader)
    {
        (NodeId, NodeId)[] links = [.. _nodes.Keys.Where(id => id != leader).Select(id => (id, leader))];
        foreach (var link in links) _cut.Add(link);
        At(600, () => _cut.ExceptWith(links));
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
        if (error is not null) throw new SimulationException($"a message of node {from} does not decode: {error}");
        Trace(message.Kind.ToString(), to, message.Term, message.Log.Index);
        _trace?.Invoke($"        {message}{(message.Life is { } life ? $" life {life.Incarnation} {life.Start:x} {life.Recovered} asks {message.IsTransfer}" : "")}");
        Step(node, core =>
        {
            if (core.Role == RaftRole.Leader && message.Term == core.Term) node.HeardMs[from] = node.LocalTime(_now);
            core.Step(message);
            if (message.Kind is MessageKind.AppendReply or MessageKind.Claim) ClusterChecker.Progressed(node, from); // A claim may begin a life anew, or refuse it.
        });
    }

    /// <summary>A request or answer beside the log: it may be lost, late, or wait for a paused receiver.</summary>
    private void Carry(NodeId from, NodeId to, Action<SimNode> arrived)
    {
        if (from == to)
        {
            arrived(_nodes[to]);
            return;
        }

        if (_cut.Contains((from, to)) || (!_isHealed && _random.Chance(_parameters.Loss))) return;
        At(DrawDelay(), () => Deliver(_nodes[to], () => arrived(_nodes[to])));
    }

    private static void Deliver(SimNode node, Action arrived)
    {
        if (!node.IsUp) return;
        if (node.IsPaused) node.WhilePaused.Add(() => Deliver(node, arrived));
        else arrived();
    }

    /// <summary>A process has started: it and those who are up connect to each other where no link is cut. Only lives look at that.</summary>
    private void ConnectPeers(SimNode started)
    {
        if (_parameters.RestoreEveryMs == 0) return;
        foreach (var node in _nodes.Values)
        {
            if (node == started || !node.IsUp || !AreLinked(started.Id, node.Id)) continue;
            var (one, other) = (started.Core, node.Core);
            At(1, () =>
            {
                if (!ReferenceEquals(started.Core, one) || !ReferenceEquals(node.Core, other)) return;
                Step(started, core => core.PeerConnected(node.Id, true));
                Step(node, core => core.PeerConnected(started.Id, true));
            });
        }
    }

    /// <summary>Once a second or so: who is gone or cut off is found out, who is back connects, and sometimes a connection breaks for a moment.</summary>
    private void ReviewConnections()
    {
        foreach (var node in _nodes.Values)
        {
            foreach (var peer in _nodes.Values)
            {
                if (node == peer || !node.IsUp) continue;
                var isConnected = peer.IsUp && AreLinked(node.Id, peer.Id);
                if (!isConnected || _random.Chance(0.1)) Step(node, core => core.PeerConnected(peer.Id, false));
                if (isConnected) Step(node, core => core.PeerConnected(peer.Id, true));
            }
        }
    }

    /// <summary>In both directions, as a connection needs.</summary>
    private bool AreLinked(NodeId one, NodeId other) => !_cut.Contains((one, other)) && !_cut.Contains((other, one));

    /// <summary>A process has ended: its connections end, and who hears of it is told at once.</summary>
    private void TellPeers(SimNode ended)
    {
        foreach (var node in _nodes.Values)
        {
            if (node == ended || !node.IsUp || _cut.Contains((ended.Id, node.Id))) continue;
            At(1 + _random.Next(10), () => Step(node, core => core.PeerLost(ended.Id)));
        }
    }
}
