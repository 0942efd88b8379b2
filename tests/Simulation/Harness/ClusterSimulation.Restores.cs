using RaftMirror.Consensus.Core;
using RaftMirror.Consensus.Model;
using RaftMirror.Consensus.Node;
using RaftMirror.Consensus.Storage;

namespace RaftMirror.Simulation.Harness;

/// <content>Directories that are put back to older copies (design §14.24), where at least one voter of the copy durably knows better than it and none
/// of those whom it could be confirmed by does not: else nobody could notice. Whoever is found to be old is seeded anew by the operator.</content>
internal sealed partial class ClusterSimulation
{
    private long _restores;
    private long _seedings;
    private ulong _startsDrawn;

    private ClusterParameters WithRestores(ClusterParameters parameters) => parameters with
    {
        RestoreEveryMs = 200 + _random.Next(1200),
        SlowClaimChance = _random.Chance(0.3) ? 0.2 : 0,
        Corrupts = false,
        DamageEveryMs = 0, // One fault that takes a voter away at a time.
        Nodes = Math.Max(parameters.Nodes, 2 + _random.Next(3)),
    };

    private ClusterParameters WithBeats(ClusterParameters parameters) => parameters with
    {
        BeatEveryMs = 50 + _random.Next(500),
        FaultPhaseMs = parameters.FaultPhaseMs + 6000,
    };

    private static LifeStart LivesOf(SimNode node, RecoveredState recovered, IReadOnlyList<KnownLife> known)
    {
        var last = recovered.Base.Index + (ulong)recovered.Entries.Count;
        ulong[] starts = [.. node.Starts.Take(NodeLife.MaxStarts)];
        var life = new NodeLife(node.Incarnation, starts, new Promised(recovered.HardState.Term, last), node.Seeded.Forgiven, node.Seeded.Floor);
        return new LifeStart(life, known, node.KnownOld);
    }

    /// <summary>Never the same twice, and no draw: a run with this protocol is otherwise as it was.</summary>
    private ulong NewStart(SimNode node) => (++_startsDrawn * 0x9E3779B97F4A7C15) ^ node.Id.Value;

    private void ScheduleConnections() => Every(_parameters.RestoreEveryMs > 0 ? 700 : 0, ReviewConnections);

    private void ScheduleRestores() => Every(_parameters.BeatEveryMs > 0 ? 0 : _parameters.RestoreEveryMs, () =>
    {
        if (_isHealed) return;
        var old = _nodes.Values.FirstOrDefault(static node => node is { IsUp: true, KnownOld: not null });
        if (old is not null && _random.Chance(0.5)) Seed(old);
        else if (PickUp() is not { IsOld: false } node) return;
        else if (node.Copy is null || _random.Chance(0.3)) MakeCopy(node);
        else PutBack(node, node.Copy);
    });

    private void MakeCopy(SimNode node)
    {
        if (node.Power.IsOut || node.IsFlushing || node.Members.Newest.Configuration.Voters.Length == 0) return;
        var shadow = node.Shadow;
        Trace("copy", node.Id, shadow.LastIndex);
        node.Copy = new DirectoryCopy(
            node.Disk.Copy(), node.SnapshotDisk.Copy(), node.Incarnation, [.. node.Starts], node.Seeded, node.DurableLives,
            new Promised(shadow.HardState.Term, shadow.LastIndex), node.Members.Newest.Configuration)
        {
            Shadow = (shadow.HardState, shadow.Base, [.. shadow.Entries]),
        };
    }

    private void PutBack(SimNode node, DirectoryCopy copy)
    {
        NodeId[] others = [.. copy.Configuration.Voters.Concat(copy.Configuration.OutgoingVoters).Distinct().Where(id => id != node.Id)];
        if (others.Length == 0 || !others.All(id => KnowsBetter(_nodes[id], node.Id, copy))) return;
        if (node.Power.IsOut || !_checker.HasQuorum(id => id != node.Id && IsSound(id))) return;
        Crash(node, power: true);
        Trace("put back", node.Id, copy.Bound.Term, copy.Bound.Index);
        _restores++;
        node.Former = new ShadowLog();
        node.Former.Reset(node.Shadow.HardState, node.Shadow.Base, node.Shadow.Entries);
        Replace(node, copy);
        node.IsOld = true;
        node.IsQuarantined = false;
    }

    /// <summary>The files of a copy take the place of those that are there.</summary>
    private static void Replace(SimNode node, DirectoryCopy copy)
    {
        node.Disk.PutBack(copy.Log);
        node.SnapshotDisk.PutBack(copy.Snapshots);
        node.Incarnation = copy.Incarnation;
        node.Starts.Clear();
        node.Starts.AddRange(copy.Starts);
        node.Seeded = copy.Seeded;
        node.DurableLives = copy.Known;
        node.Shadow.Reset(copy.Shadow.HardState, copy.Shadow.Base, copy.Shadow.Entries ?? []);
    }

    private static bool KnowsBetter(SimNode witness, NodeId node, DirectoryCopy copy) =>
        witness.IsGone || witness.DurableLives.Any(life => life.Node == node
            && (life.Incarnation > copy.Incarnation || IsBeyond(life.Promised, copy)));

    /// <summary>What was promised before the node was seeded anew is forgiven: it is committed without the node.</summary>
    private static bool IsBeyond(Promised promised, DirectoryCopy copy) =>
        promised.CompareTo(copy.Bound) > 0 && promised.CompareTo(copy.Seeded.Forgiven) > 0;

    /// <summary>The core has found something out; the shell keeps it.</summary>
    private void Judged(SimNode node)
    {
        if (node.Core!.Conflict is { } conflict)
            throw new SimulationException($"14.24: node {node.Id} finds another history at {conflict.Own}: somebody who had gone back went on");
        if (node.Core.Old is not { } old || node.KnownOld is not null) return;
        if (!node.IsOld) throw new SimulationException($"14.24: node {node.Id} is taken for old by node {old.By} ({old.Known}), and is not: {old.Own}");
        Trace("old", node.Id, old.By.Value);
        if (old.Disk is not null) _oldByDisks++;
        node.KnownOld = old;
    }

    /// <summary>The operator seeds a node anew: the leader makes an entry; once that is committed the node's directory is emptied.</summary>
    private void Seed(SimNode node)
    {
        if (Leading() is not { } leader || leader == node) return;
        EntryId mark = default;
        var isMade = false;
        Step(leader, core => isMade = core.AppendMark(out mark));
        if (!isMade) return;
        Wait(leader, leader.Core);

        void Wait(SimNode source, RaftCore? core) => At(20, () =>
        {
            if (source.Core is null || source.Core != core || core.Role != RaftRole.Leader || core.Term != mark.Term) return;
            if (core.Commit < mark.Index) Wait(source, core);
            else if (node is { IsUp: true, IsPaused: false, KnownOld: not null, Disk.IsFull: false }) GiveUp(node, mark);
        });
    }

    private void GiveUp(SimNode node, EntryId mark)
    {
        var known = node.KnownOld!.Known;
        var term = Math.Max(Math.Max(mark.Term, known.Promised.Term), node.Core!.Term);
        var index = Math.Max(Math.Max(mark.Index, known.Promised.Index), node.Core.Log.LastIndex);
        Crash(node, power: true);
        Trace("seeded", node.Id, mark.Term, mark.Index);
        _seedings++;
        node.Disk.PutBack(new Dictionary<string, byte[]>());
        node.SnapshotDisk.PutBack(new Dictionary<string, byte[]>());
        using (var log = new WriteAheadLog(node.Disk, _parameters.SegmentBytes, node.Incarnation))
        {
            log.Append(new WriteBatch(0, new HardState(term, default, 0), default, []));
            log.Flush();
        }

        node.Incarnation = Math.Max(node.Incarnation, known.Incarnation);
        node.Starts.Clear();
        node.Seeded = (new Promised(term, index), mark);
        node.DurableLives = [];
        node.Copy = null;
        node.Newer = null;
        node.Shadow.Reset(new HardState(term, default, 0), default, []);
        node.Former = null;
        node.KnownOld = null;
        node.IsOld = false;
        _checker.Seeded(node.Id);
    }

    /// <summary>After healing: each node that was put back finds out, is seeded anew, and takes part again.</summary>
    private void SeedTheOld()
    {
        foreach (var node in _nodes.Values.Where(static node => node is { IsOld: true, IsGone: false, IsKeptDown: false }).ToArray())
        {
            if (_checker.Members.SlotOf(node.Id) < 0) continue;
            Insist(
                () => _checker.Members.SlotOf(node.Id) < 0 || (node is { IsOld: false, IsUp: true } && node.Core!.AppliedIndex >= _healedAtCommit),
                _ =>
                {
                    if (node is { IsUp: true, KnownOld: not null }) Seed(node);
                },
                $"node {node.Id}, whose directory was put back, was not seeded anew");
        }
    }
}
