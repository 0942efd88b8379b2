using RaftMirror.ControlPlane.Events;
using RaftMirror.ControlPlane.Model;

namespace RaftMirror.ControlPlane.Commands;

/// <content>Activation and stamps; the rules are <see cref="ActivationRules"/>'s.</content>
public sealed partial class Decider
{
    private const string NotStamped = "its label could not be written in time when the set was activated";

    private ResultData Activate(StartActivation c)
    {
        var set = SetOf(c.Set);
        CheckMayJoin(set, c.Node, c.Incarnation, c.IsByOperator);
        ActivationRules.CheckStart(_state, set, c.Node, c.Incarnation);
        if (set.Activating is { } running && running.Node == c.Node && running.Incarnation == c.Incarnation)
            return new ResultData(Generation: running.Number);
        var stamp = new StampState(set.NextStamp!.Number + 1, _envelope.Id, set.Activation + 1);
        Emit(new ActivationStarted(c.Set, c.Node, c.Incarnation, stamp.Activation, stamp));
        return new ResultData(Generation: stamp.Activation);
    }

    private ResultData Activate(CompleteActivation c)
    {
        var set = SetOf(c.Set);
        CheckMayJoin(set, c.Node, c.Incarnation, c.IsByOperator);
        ActivationRules.CheckComplete(_state, set, c);
        Emit(new ActivationCompleted(c.Set, c.Node, c.Activation, c.Disks, set.NextStamp!, After(set.NextStamp!)));
        var complaints = c.Complaints.IsDefault ? [] : c.Complaints;
        foreach (var complaint in complaints) CheckDetail(complaint.Detail);
        var missed = Stamps.DisksToStamp(set).Where(disk => !c.Disks.Contains(disk));
        foreach (var disk in missed.OrderBy(disk => DiskLossRules.IsContentDoubtful(complaints.Where(told => told.Disk == disk)) ? 0 : 1))
        {
            // Before the node has joined: nobody may have I/O to it, so it may return as soon as it is there.
            var complaint = complaints.FirstOrDefault(known => known.Disk == disk) ?? new DiskComplaint(disk, DiskLossReason.TimedOut, NotStamped);
            LoseNow(c.Set, disk, complaint.Reason, complaint.Detail, c.Node);
        }

        Enter(c.Set, c.Node, c.Incarnation, complaints);
        return new ResultData(Generation: c.Activation);
    }

    private ResultData? GiveUp(GiveUpActivation c)
    {
        var set = SetOf(c.Set);
        var member = MemberOf(set, c.Node);
        NodeOf(c.Node, c.Incarnation);
        ActivationRules.CheckUnderWay(set, c.Activation, c.Node, c.Incarnation);
        CheckDetail(c.Why);
        Emit(new ActivationGivenUp(c.Set, c.Node, c.Activation, c.Why));
        Complain(_state.Sets[c.Set], member, c.Incarnation, c.Complaints.IsDefault ? [] : c.Complaints);
        return null;
    }

    private ResultData Stamp(StampLabels c)
    {
        var set = SetOf(c.Set);
        JoinedMember(set, c.Node, c.Incarnation);
        Check(c.Generation <= set.Generation, "badGeneration",
            $"Generation {c.Generation} is ahead of the committed {set.Generation} of '{c.Set}'.");
        if (c.Stamp < set.NextStamp!.Number) return new ResultData(Generation: set.StampedGeneration);
        ActivationRules.CheckStamp(_state, set, c);
        Emit(new BeatCompleted(c.Set, c.Node, c.Disks, set.NextStamp, After(set.NextStamp)));
        if (c.Generation > set.StampedGeneration && ActivationRules.IsGenerationStamped(set, c.Disks))
        {
            Emit(new LabelsStamped(c.Set, c.Generation, c.Node));
            foreach (var volume in set.Volumes.Keys) CompleteBarriers(c.Set, volume);
        }

        return new ResultData(Generation: _state.Sets[c.Set].StampedGeneration);
    }

    /// <summary>The next number, opened by this command: its id is as random as a nonce must be, and the same on every node.</summary>
    private StampState After(StampState stamp) => stamp with { Number = stamp.Number + 1, Nonce = _envelope.Id };
}
