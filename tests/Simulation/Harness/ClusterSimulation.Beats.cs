using RaftMirror.Consensus.Core;
using RaftMirror.Consensus.Model;

namespace RaftMirror.Simulation.Harness;

/// <content>Disks that carry beats (design §14.24, docs/adr/0023): a majority of directories is put back while nobody who knows better is up. Only the
/// disks can tell. Those that were put back must take no part, nothing that was acknowledged may vanish, and whoever was merely behind, or was
/// restarted with a torn tail, must go on. In the end the operator puts the newer directories back, or seeds anew.</content>
internal sealed partial class ClusterSimulation
{
    /// <summary>What stands beside the stamps of the two disks that all nodes see.</summary>
    private readonly byte[]?[] _labels = new byte[]?[2];

    /// <summary>Set while a majority is put back: then the disks answer all nodes, for else nobody could notice.</summary>
    private bool _isMajorityBack;
    private long _beatsWritten;
    private long _majoritiesBack;
    private long _oldByDisks;
    private long _newerBack;

    private string BeatSummary => _beatsWritten == 0 ? string.Empty
        : $", {_beatsWritten} beats, {_majoritiesBack} majorities put back, {_oldByDisks} found old by disks, {_newerBack} newer directories put back";

    private void ScheduleBeats()
    {
        if (_parameters.BeatEveryMs == 0) return;
        Every(_parameters.BeatEveryMs, WriteBeat);
        Every(1500, PutMajorityBack);
        Every(_parameters.RestoreEveryMs, () =>
        {
            if (_isHealed || _isMajorityBack) return;
            var old = _nodes.Values.FirstOrDefault(static node => node is { IsUp: true, KnownOld: not null });
            if (old is not null && _random.Chance(0.5)) EndOfOld(old);
            else if (PickUp() is { IsOld: false } node && (node.Copy is null || _random.Chance(0.1))) MakeCopy(node);
        });
    }

    /// <summary>By a node that serves: it follows the leader of now. A disk that is slow misses it.</summary>
    private void WriteBeat()
    {
        if (Leading() is not { Core: { } leads } leader) return;
        SimNode[] serving = [.. _nodes.Values.Where(node =>
            node is { IsUp: true, IsPaused: false, IsOld: false, Applied: > 0 } && node.Core!.Leader == leader.Id && node.Core.Term == leads.Term)];
        if (serving.Length == 0) return;
        var writer = serving[_random.Next(serving.Length)];
        if (writer.Applied < writer.Core!.Log.Base.Index || writer.Core.LivesForDisks() is not { } lives) return; // It is about to take a snapshot's state.
        var testimony = new Testimony(ClusterId, writer.Id, new EntryId(writer.Core.Log.TermAt(writer.Applied), writer.Applied), lives);
        Trace("beat", writer.Id, writer.Applied);
        _beatsWritten++;
        for (var disk = 0; disk < _labels.Length; disk++)
        {
            if (_random.Chance(0.8)) _labels[disk] = testimony.Encode();
        }
    }

    /// <summary>A node that has started asks the disks before it takes part. Some do not answer, or late.</summary>
    private void AskDisks(SimNode node)
    {
        if (_parameters.BeatEveryMs == 0) return;
        var core = node.Core;
        At(_isHealed || _random.Chance(0.9) ? _random.Next(60) : _random.Next(3000), () =>
        {
            if (!ReferenceEquals(node.Core, core)) return;
            var said = new List<(string Disk, Testimony Said)>();
            for (var disk = 0; disk < _labels.Length; disk++)
            {
                var answers = node.IsOld || _isMajorityBack || _random.Chance(0.7);
                if (answers && _labels[disk] is { } label) said.Add(($"d{disk}", Testimony.TryDecode(label)!));
            }

            Step(node, asking =>
            {
                asking.DisksSaid(said);
                asking.DisksWereAsked();
            });
        });
    }

    private void PutMajorityBack()
    {
        var voters = _checker.Members.Voters;
        if (_isHealed || _isMajorityBack || _checker.Members.IsJoint || _nodes.Values.Any(static node => node.IsOld)) return;
        SimNode[] back = [.. voters.Select(id => _nodes[id]).Where(node => node is { IsGone: false, Copy: { } copy } && DisksKnowBetter(node.Id, copy))];
        if (back.Length <= voters.Length / 2) return;
        Trace("majority back", default, (ulong)back.Length);
        _isMajorityBack = true;
        _majoritiesBack++;
        foreach (var node in _nodes.Values.ToArray())
        {
            if (node.IsUp) Crash(node, power: true);
            else LosePower(node);
            if (Array.IndexOf(back, node) >= 0) PutBackToCopy(node);
            else node.IsAway = _random.Chance(0.8); // Mostly nobody who knows is up.
        }

        At(3000 + _random.Next(3000), TheOthersComeBack);
    }

    private bool DisksKnowBetter(NodeId node, DirectoryCopy copy) => _labels.Any(label => label is not null
        && Testimony.TryDecode(label)!.Lives.Any(life => life.Node == node
            && (life.Incarnation > copy.Incarnation || IsBeyond(life.Promised, copy))));

    private void PutBackToCopy(SimNode node)
    {
        Trace("put back", node.Id, node.Copy!.Bound.Term, node.Copy.Bound.Index);
        _restores++;
        node.Newer = new DirectoryCopy(
            node.Disk.Copy(), node.SnapshotDisk.Copy(), node.Incarnation, [.. node.Starts], node.Seeded, node.DurableLives,
            default, node.Copy.Configuration)
        {
            Shadow = default,
        };
        var former = new ShadowLog();
        former.Become(node.Shadow);
        Replace(node, node.Copy);
        node.Former = former;
        node.IsOld = true;
    }

    private void TheOthersComeBack()
    {
        if (!_isMajorityBack) return;
        _isMajorityBack = false;
        foreach (var node in _nodes.Values.Where(static node => node.IsAway).ToArray())
        {
            node.IsAway = false;
            Boot(node);
        }
    }

    /// <summary>What the operator does about a node that is found to be old.</summary>
    private void EndOfOld(SimNode node)
    {
        if (node.Newer is null || (Leading() is not null && _random.Chance(0.5))) Seed(node);
        else PutNewerBack(node);
    }

    private void PutNewerBack(SimNode node)
    {
        if (node.IsUp) Crash(node, power: true);
        Trace("newer back", node.Id);
        _newerBack++;
        var former = node.Former!;
        Replace(node, node.Newer!);
        node.Shadow.Become(former);
        node.Former = null;
        node.Newer = null;
        node.KnownOld = null;
        node.IsOld = false;
    }

    /// <summary>Before healing: so many of the newer directories are put back that those which are not are few enough to be seeded anew.</summary>
    private void EndMajorityBack()
    {
        TheOthersComeBack();
        foreach (var node in _nodes.Values.Where(static node => node is { IsOld: true, Newer: not null }).ToArray())
        {
            if (_random.Chance(0.7) || !_checker.HasQuorum(id => id != node.Id && IsSound(id))) PutNewerBack(node);
        }
    }
}
