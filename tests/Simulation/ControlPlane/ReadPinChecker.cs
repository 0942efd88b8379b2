using RaftMirror.ControlPlane.Commands;
using RaftMirror.ControlPlane.Model;
using RaftMirror.Simulation.Harness;

namespace RaftMirror.Simulation.ControlPlane;

/// <summary>Keeps its own book of crashes, from commands alone: reads of an ABR volume are pinned exactly while some writer that had joined
/// was fenced and no recovery has covered that (§14.18).</summary>
internal sealed class ReadPinChecker
{
    private readonly Dictionary<(string Set, uint Volume), ulong> _crashes = [];

    /// <summary>Recoveries that took effect.</summary>
    public int Recoveries { get; private set; }

    public void Applied(RecordingMachine machine, CommandBody body, CommandResult result, ulong index)
    {
        if (result.Outcome == CommandOutcome.Applied && result.Index == index)
        {
            if (body is FenceNode fence) Crash(machine.Before, fence, index);
            if (body is MarkRecovered recovered) Recover(machine.Before, recovered, index);
        }

        foreach (var set in machine.State.Sets.Values)
        {
            foreach (var volume in set.Volumes.Values)
            {
                var isPinned = _crashes.TryGetValue((set.Name, volume.Number), out var crash);
                ClusterChecker.Require(
                    volume.IsReadPinned == isPinned, $"§14.18: reads of {set.Name}/{volume.Name} are {(volume.IsReadPinned ? "" : "not ")}pinned at {index}, a writer crashed at {crash}");
            }
        }
    }

    private void Crash(ClusterState before, FenceNode fence, ulong index)
    {
        foreach (var set in before.Sets.Values)
        {
            if (set.Members.GetValueOrDefault(fence.Node)?.JoinedIncarnation != fence.Incarnation) continue;
            foreach (var volume in set.Volumes.Values)
            {
                if (volume.Recovery == RecoveryMode.App) _crashes[(set.Name, volume.Number)] = index;
            }
        }
    }

    private void Recover(ClusterState before, MarkRecovered recovered, ulong index)
    {
        var key = (recovered.Set, before.Volume(recovered.Set, recovered.Volume)!.Number);
        ClusterChecker.Require(
            _crashes.TryGetValue(key, out var crash) && crash <= recovered.AsOfIndex,
            $"§14.18: {recovered.Set}/{recovered.Volume} was recovered at {index} as of {recovered.AsOfIndex}, and a writer crashed at {crash}");
        _crashes.Remove(key);
        Recoveries++;
    }
}
