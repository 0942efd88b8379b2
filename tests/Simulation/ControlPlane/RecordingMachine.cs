using System.Collections.Immutable;
using RaftMirror.Consensus;
using RaftMirror.Consensus.Model;
using RaftMirror.ControlPlane;
using RaftMirror.ControlPlane.Commands;
using RaftMirror.ControlPlane.Events;
using RaftMirror.ControlPlane.Model;
using RaftMirror.ControlPlane.Snapshots;
using RaftMirror.Primitives;

namespace RaftMirror.Simulation.ControlPlane;

/// <summary>The production state machine of one process, with what the checks want to know about the newest entry.</summary>
/// <param name="node">Whose.</param>
/// <param name="snapshotAt">After this index the state is taken through its snapshot form once; 0 for never.</param>
/// <param name="bug">Put in for the tests of the checks.</param>
/// <param name="salt">Of this process; only <see cref="SeededBug.DecidesByHashOrder"/> looks at it.</param>
internal sealed class RecordingMachine(NodeId node, ulong snapshotAt, SeededBug bug, ulong salt) : IStateMachine
{
    private ControlPlaneMachine _machine = new();

    public NodeId Node => node;

    public ClusterState State => _machine.State;

    /// <summary>The state before the newest entry.</summary>
    public ClusterState Before { get; private set; } = ClusterState.Empty;

    /// <summary>The newest entry's events.</summary>
    public ImmutableArray<EventRecord> Events { get; private set; } = [];

    public ReadOnlyMemory<byte> Apply(LogPosition position, ulong epoch, ReadOnlySpan<byte> command)
    {
        Before = State;
        if (bug == SeededBug.AppliesDuplicates) ForgetRequests();
        if (bug == SeededBug.AnswersByIdAlone) command = CommandCodec.Encode(CommandCodec.Decode(command) with { Digest = "any:" });
        if (bug == SeededBug.RefusesOwnCommandsForTime && CommandCodec.Decode(command) is { Digest: null } own)
            command = CommandCodec.Encode(own with { Digest = "own:" });
        Events = [];
        _machine.Applied += Record;
        var result = _machine.Apply(position, epoch, command);
        _machine.Applied -= Record;
        Corrupt(command, result);
        if (position.Value == snapshotAt) Restart();
        return result;
    }

    public ulong StateHash => _machine.StateHash;

    public ISnapshotSource BeginSnapshot() => _machine.BeginSnapshot();

    public void Restore(Stream content)
    {
        _machine.Restore(content);
        Before = State;
        Events = [];
        if (bug == SeededBug.ForgetsRequestsAfterRestart) ForgetRequests();
    }

    private void Record(AppliedEntry entry) => Events = entry.Events;

    private void Restart()
    {
        _machine = new ControlPlaneMachine(StateCodec.Decode(StateCodec.Encode(State)));
        if (bug == SeededBug.ForgetsRequestsAfterRestart) ForgetRequests();
    }

    private void ForgetRequests() => _machine = new ControlPlaneMachine(State with { Requests = RequestTable.Empty });

    private void Corrupt(ReadOnlySpan<byte> command, ReadOnlyMemory<byte> result)
    {
        switch (bug)
        {
            case SeededBug.DecidesByHashOrder:
                foreach (var changed in Events.Select(static record => record.Event).OfType<OwnerChanged>())
                {
                    if (changed is { From: null, To: not null }) GiveToSaltedChoice(changed);
                }

                break;
            case SeededBug.GrantsWhileMergeOwed when CommandCodec.Decode(command).Body is MoveOwner move
                && CommandCodec.DecodeResult(result.Span).Code == "busy" && State.Sets[move.Set].IsMergeOwed
                && State.Volume(move.Set, move.Volume) is { Owner.Node: null, Transfer: null } volume:
                Replace(move.Set, volume with { Owner = new OwnerState(move.To, move.ToIncarnation, volume.Owner.Epoch + 1) });
                break;
            case SeededBug.ForgetsKeptMarks when CommandCodec.Decode(command).Body is MergeDirtyLog merge
                && CommandCodec.DecodeResult(result.Span).Outcome == CommandOutcome.Applied:
                foreach (var kept in State.Sets[merge.Set].Volumes.Values)
                {
                    var before = Before.Volume(merge.Set, kept.Name)!.Submirrors.ToDictionary(static leg => leg.Name);
                    Replace(merge.Set, kept with
                    {
                        Submirrors = [.. kept.Submirrors.Select(leg => leg with { KeptRuns = before[leg.Name].KeptRuns })],
                    });
                }

                break;
            case SeededBug.OwesTooLittleOnReturn when CommandCodec.Decode(command).Body is ReturnDisk returned:
                foreach (var owing in State.Sets[returned.Set].Volumes.Values)
                {
                    if (owing.Resync is { IsEverythingOwed: false, OwedRuns.IsEmpty: false } resync && owing.Submirrors.Any(static leg => leg.IsTarget))
                        Replace(returned.Set, owing with { Resync = resync with { OwedRuns = resync.OwedRuns.RemoveAt(0) } });
                }

                break;
            case SeededBug.OwesOldDiskItsKeptMarks when CommandCodec.Decode(command).Body is ReturnDisk { IsEverythingOwed: true } old
                && CommandCodec.DecodeResult(result.Span).Outcome == CommandOutcome.Applied:
                foreach (var refilled in State.Sets[old.Set].Volumes.Values)
                {
                    if (refilled.Resync is { IsEverythingOwed: true } && Before.Volume(old.Set, refilled.Name) is { Resync: null } former)
                    {
                        var kept = former.Submirrors.Aggregate(ImmutableArray<RegionRun>.Empty, static (runs, leg) => RegionRuns.Union(runs, leg.KeptRuns));
                        Replace(old.Set, refilled with { Resync = refilled.Resync with { IsEverythingOwed = false, OwedRuns = kept } });
                    }
                }

                break;
            case SeededBug.EndsResyncBeforeTheStamp when CommandCodec.Decode(command).Body is ReturnDisk early
                && State.Sets.GetValueOrDefault(early.Set)?.Disks.GetValueOrDefault(early.Disk) is { AwaitsStamp: true } owing:
                var set = State.Sets[early.Set];
                _machine = new ControlPlaneMachine(State with
                {
                    Sets = State.Sets.SetItem(set.Name, set with { Disks = set.Disks.SetItem(owing.Name, owing with { AwaitsStamp = false }) }),
                });
                break;
            case SeededBug.RecoversFromLaterCrash when CommandCodec.Decode(command).Body is MarkRecovered recovered
                && CommandCodec.DecodeResult(result.Span).Code == "crashedSince" && State.Volume(recovered.Set, recovered.Volume) is { } pinned:
                Replace(recovered.Set, pinned with { ReadPin = null });
                break;
            case SeededBug.EndsBarrierEarly:
                foreach (var confirmed in Events.Select(static record => record.Event).OfType<BarrierConfirmed>())
                {
                    if (State.Volume(confirmed.Set, confirmed.Volume) is not { } v
                        || v.Barriers.FirstOrDefault(b => b.Id == confirmed.Barrier) is not { Waiting.Length: 1 } last) continue;
                    Replace(confirmed.Set, v with { Barriers = v.Barriers.Replace(last, last with { Waiting = [] }) });
                }

                break;
        }
    }

    private void GiveToSaltedChoice(OwnerChanged changed)
    {
        if (State.Volume(changed.Set, changed.Volume) is not { Owner.Node: not null } volume) return;
        var chosen = State.Sets[changed.Set].Members.Values
            .Where(member => State.Nodes[member.Node].Status == NodeStatus.Up && Duties.IsJoined(State.Nodes[member.Node], member))
            .OrderBy(member => Crc32C.Append((uint)salt, System.Text.Encoding.UTF8.GetBytes(member.Node))).First();
        Replace(changed.Set, volume with { Owner = volume.Owner with { Node = chosen.Node, Incarnation = chosen.JoinedIncarnation } });
    }

    private void Replace(string setName, VolumeState volume)
    {
        var set = State.Sets[setName];
        _machine = new ControlPlaneMachine(State with
        {
            Sets = State.Sets.SetItem(setName, set with { Volumes = set.Volumes.SetItem(volume.Name, volume) }),
        });
    }
}
