using RaftMirror.ControlPlane.Events;
using RaftMirror.ControlPlane.Model;

namespace RaftMirror.ControlPlane.Commands;

/// <content>The end of an ABR volume's pinned reads (design §14.18).</content>
public sealed partial class Decider
{
    private ResultData? Recover(MarkRecovered c)
    {
        var volume = VolumeOf(c.Set, c.Volume);
        var name = $"{c.Set}/{c.Volume}";
        Check(volume.Recovery == RecoveryMode.App, "notAbr",
            $"'{name}' has a dirty-region log: after a crash its legs are made equal by a resync, and nobody has to say that.");
        Check(!volume.IsDeleting, "deleting", $"'{name}' is being deleted.");
        foreach (var member in _state.Sets[c.Set].Members.Values) CheckNotDying(name, member);
        if (volume.ReadPin is not { } pin)
        {
            Reject("notPinned", RejectionKind.Precondition,
                $"Reads of '{name}' are not pinned: no writer of it died since it was made, or recovered last.");
            return null;
        }

        CheckUsage(c.AsOfIndex < _index, "badIndex", $"Index {c.AsOfIndex} lies ahead: the log is at {_index}.");
        Check(pin.CrashedAtIndex <= c.AsOfIndex, "crashedSince",
            $"Writer '{pin.Node}' died at index {pin.CrashedAtIndex}, after index {c.AsOfIndex}: what it left half-written may not be repaired. Let the application recover '{name}' once more.");
        Emit(new MirrorRecovered(c.Set, c.Volume, pin.SinceIndex, c.AsOfIndex));
        return null;
    }

    /// <summary>A writer that is silent may have died, and what it left is known only once it is fenced or back.</summary>
    private void CheckNotDying(string volume, MemberState member)
    {
        if (member.JoinedIncarnation == 0) return;
        var node = _state.Nodes[member.Node];
        Check(node.IsLive && node.Incarnation == member.JoinedIncarnation, "writerSuspect",
            $"Node '{member.Node}' may write '{volume}' and is silent: wait until it is back, or fenced; then let the application recover the volume.",
            isRetryable: true);
    }
}
