using RaftMirror.Consensus.Core;
using RaftMirror.Consensus.Model;

namespace RaftMirror.Simulation.Harness;

/// <content>Faults of processes and disks.</content>
internal sealed partial class ClusterSimulation
{
    private void ScheduleFaults()
    {
        Fault(_parameters.CrashEveryMs, node => Crash(node, power: _random.Chance(0.7)));
        Fault(_parameters.PauseEveryMs, node => Pause(node, 100 + _random.Next(2000)));
        Fault(_parameters.DamageEveryMs, Damage);
        Fault(_parameters.FullEveryMs, Fill);
        Fault(_parameters.DiskPowerEveryMs, node => node.Power.FailBefore(1 + _random.Next(20)));
        Fault(_parameters.PeerLostChance > 0 ? 1500 : 0, node =>
        {
            // A connection breaks and is made again; the process lives.
            if (PickUp() is { } other && other != node) Step(node, core => core.PeerLost(other.Id));
        });
        Every(_parameters.BlackoutEveryMs, () =>
        {
            if (_isHealed) return;
            foreach (var node in _nodes.Values)
            {
                if (node.IsUp) Crash(node, power: true);
            }
        });
        Every(_parameters.PartitionEveryMs, Partition);
        Every(_parameters.TransferEveryMs, () =>
        {
            if (_isHealed || _nodes.Values.FirstOrDefault(static it => it is { Core.Role: RaftRole.Leader }) is not { } node) return;
            var members = node.Core!.Configuration.Members;
            NodeId? target = _random.Chance(0.3) ? null : members[_random.Next(members.Length)];
            Step(node, core => core.TransferLeadership(target));
        });
        if (_parameters.Corrupts) At(_random.Next(_parameters.FaultPhaseMs), Corrupt);
    }

    private void Fault(int everyMs, Action<SimNode> fault) => Every(everyMs, () =>
    {
        if (!_isHealed && PickUp() is { } node) fault(node);
    });

    private SimNode? PickUp()
    {
        var position = _random.Next(_nodes.Count);
        foreach (var node in _nodes.Values)
        {
            if (position-- == 0) return node.IsUp ? node : null;
        }

        return null;
    }

    private void Pause(SimNode node, int lengthMs)
    {
        if (node.IsPaused) return;
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

        // The pause may have come between a look at the clock and a read: the lease was valid then.
        if (_parameters.LeaseReads && node.Core?.Role == RaftRole.Leader && _random.Chance(0.5)) BeginRead(node, confirmed: null);
        Action[] waiting = [.. node.WhilePaused];
        node.WhilePaused.Clear();
        foreach (var action in waiting) action();
    }

    /// <summary>Damages a disk that the cluster can do without: with all the others a majority remains, whatever configuration comes to
    /// count (the fault atlas). The process ends by a kill, so that the durable mark is exact.</summary>
    private void Damage(SimNode node)
    {
        if (node.Power.IsOut || !_checker.HasQuorum(id => id != node.Id && IsSound(id))) return;
        node.Power.FailBefore(0);
        Crash(node, power: false);
        var what = _random.Chance(0.8) ? node.Disk.Damage() : node.SnapshotDisk.Damage() ? "a bit flips in a snapshot" : null;
        if (what is null) return;
        Trace("damage", node.Id);
        _trace?.Invoke($"        {what}");
        node.Damage = what;
    }

    private bool IsSound(NodeId id) => _nodes.TryGetValue(id, out var node) && node is { IsGone: false, Damage: null, IsOld: false };

    private void Fill(SimNode node)
    {
        Trace("full", node.Id);
        node.Disk.IsFull = node.SnapshotDisk.IsFull = true;
        At(200 + _random.Next(2000), () => node.Disk.IsFull = node.SnapshotDisk.IsFull = false);
    }

    /// <summary>The state of one node goes wrong, and nothing notices.</summary>
    private void Corrupt()
    {
        var node = _nodes.Values.FirstOrDefault(static it => it is { IsUp: true, IsPaused: false, Core.Role: RaftRole.Follower });
        if (node is null || _isHealed || node.Applied == 0)
        {
            if (!_isHealed) At(200, Corrupt);
            return;
        }

        Trace("corrupt", node.Id, node.Applied);
        node.IsCorrupt = true;
        _workload.Corrupt(node.StateMachine!);
    }
}
