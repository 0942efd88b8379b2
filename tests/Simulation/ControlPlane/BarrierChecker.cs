using RaftMirror.ControlPlane.Commands;
using RaftMirror.ControlPlane.Events;
using RaftMirror.ControlPlane.Model;
using RaftMirror.Simulation.Harness;

namespace RaftMirror.Simulation.ControlPlane;

/// <summary>Keeps its own book of who must confirm a barrier, from commands alone: a barrier ends once every node that had joined when it
/// began has confirmed, or can do no more I/O, or has had its log merged if marks are waited for, and the labels carry its generation (§14.2, §14.10).</summary>
internal sealed class BarrierChecker
{
    private readonly SortedDictionary<ulong, Open> _open = [];

    public int Count { get; private set; }

    public void Applied(RecordingMachine machine, CommandBody body, CommandResult result, ulong index)
    {
        foreach (var record in machine.Events)
        {
            switch (record.Event)
            {
                case BarrierStarted e:
                    Begin(machine.Before, e.Set, e.Volume, e.Barrier, e.Generation);
                    break;
                case LegReturning e:
                    Begin(machine.Before, e.Set, e.Volume, e.Barrier, generation: 0, e.Submirror);
                    break;
                case MirrorDeleting e:
                    Begin(machine.Before, e.Set, e.Volume, e.Barrier, generation: 0);
                    break;
            }
        }

        if (result.Outcome == CommandOutcome.Applied) Strike(body);
        foreach (var (id, open) in _open.ToArray())
        {
            if (machine.State.Volume(open.Set, open.Volume)?.Barriers.FirstOrDefault(b => b.Id == id) is { } barrier)
            {
                ClusterChecker.Require(
                    open.Waiting.IsSubsetOf(barrier.Waiting), $"§14.2: barrier {id} of {open.Set}/{open.Volume} forgot a node at {index}");
                continue;
            }

            // A submirror that is lost anew waits for nobody's marks: they are kept again.
            var isLostAnew = open.Returning is { } leg && machine.State.Volume(open.Set, open.Volume)?.Submirrors
                .First(submirror => submirror.Name == leg).IsWritable == false;
            if (isLostAnew)
            {
                _open.Remove(id);
                continue;
            }

            var isLast = machine.Events.Any(static record => record.Event is MirrorDeleted);
            ClusterChecker.Require(
                open.Waiting.Count == 0 || ((open.Generation != 0 || open.Returning is not null) && isLast),
                $"§14.2: barrier {id} of {open.Set}/{open.Volume} ended at {index} without {string.Join(", ", open.Waiting)}");
            ClusterChecker.Require(
                isLast || machine.State.Sets[open.Set].StampedGeneration >= open.Generation,
                $"§14.10: barrier {id} of {open.Set}/{open.Volume} ended at {index} before generation {open.Generation} was on the labels");
            _open.Remove(id);
        }
    }

    private void Begin(ClusterState before, string set, string volume, ulong id, ulong generation, string? returning = null)
    {
        Count++;
        // Marks of a logged volume are in a log: who has none, and none that waits to be merged, has nothing to tell.
        var isOfLogs = returning is not null && before.Volume(set, volume)!.Recovery == RecoveryMode.Log;
        _open.Add(id, new Open(set, volume, generation, returning, isOfLogs, [.. before.Sets[set].Members.Values
            .Where(member => member.JoinedIncarnation != 0 && (!isOfLogs || member.Slot is not null))
            .Select(static member => new NodeIncarnation(member.Node, member.JoinedIncarnation))]));
    }

    private void Strike(CommandBody body)
    {
        foreach (var (id, open) in _open)
        {
            _ = body switch
            {
                ConfirmBarrier c when c.Barrier == id => open.Waiting.Remove(new NodeIncarnation(c.Node, c.Incarnation)),
                FenceNode c => open.Waiting.Remove(new NodeIncarnation(c.Node, c.Incarnation)),
                StopNode c => open.Waiting.Remove(new NodeIncarnation(c.Node, c.Incarnation)),
                MergeDirtyLog c when c.Set == open.Set && open.IsOfLogs => open.Waiting.Remove(new NodeIncarnation(c.Node, c.SlotIncarnation)),
                LeaveSet c when c.Set == open.Set => open.Waiting.Remove(new NodeIncarnation(c.Node, c.Incarnation)),
                _ => false,
            };
        }
    }

    private sealed record Open(string Set, string Volume, ulong Generation, string? Returning, bool IsOfLogs, HashSet<NodeIncarnation> Waiting);
}
