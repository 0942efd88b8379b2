using RaftMirror.DataPlane.Devices;
using RaftMirror.DataPlane.Mirroring.Core;
using RaftMirror.Primitives;

namespace RaftMirror.Simulation.Mirrors;

// Space that runs out on disks (design §14.22), and the check that no leg is lost by that while no other has the bytes.
internal sealed partial class MirrorWorld
{
    private readonly HashSet<string> _shortOfCopies = [];
    private Xoshiro? _fillRandom;
    private bool _isSpaceShared;
    private int _noSpaceAnswers;
    private int _evenings;

    /// <summary>Space runs out now and then. Before the run.</summary>
    public void FillDisks(Xoshiro random)
    {
        _fillRandom = random;
        _isSpaceShared = random.Chance(0.5);
        After((200 + _fillRandom.Next(800)) * Ms, Fill, "fill");
    }

    /// <summary>One disk or all of them, as where all lie on one file system.</summary>
    private void Fill()
    {
        if (Now > FaultPhaseNs) return;
        var all = _isSpaceShared || _fillRandom!.Chance(0.5);
        var one = _disks[_fillRandom!.Next(_disks.Length)];
        foreach (var disk in _disks) disk.IsFull = all || disk == one;
        Log($"full: {(all ? "every disk" : one.Name)}");
        After((100 + _fillRandom.Next(600)) * Ms, () =>
        {
            foreach (var disk in _disks) disk.IsFull = false;
            After((100 + _fillRandom.Next(600)) * Ms, Fill, "fill");
        }, "space");
    }

    private void SubmitEvening(SimNode node, MirrorEffect effect)
    {
        var life = node.Incarnation;
        var plan = (EvenOutPlan)effect.Payload!;
        CheckFence(node.Name, life);
        var io = new SimIo
        {
            Node = node.Name,
            Incarnation = life,
            Disk = _disks[0],
            Blocks = new ByteRange(plan.Range.Start / BlockBytes, plan.Range.Length / BlockBytes),
            IsCopy = effect.Request == 0,
            IsWrite = true,
        };
        if (io.IsCopy) CheckCopy(node, io.Blocks);
        else CheckWrite(node, io);
        _ios.Add(io);
        _evenings++;
        After(IoDelay(), () => Even(node, life, io, plan, effect), "even out");
    }

    private void Even(SimNode node, ulong life, SimIo io, EvenOutPlan plan, MirrorEffect effect)
    {
        _ios.Remove(io);
        if (!node.IsAlive || node.Incarnation != life) return;
        if (Now >= node.Core.LeaseExpiresNs && (_faults & MirrorFaults.IgnoreLease) == 0)
        {
            OnNode(node, life, () => node.Core.EvenedOut(
                Now, effect.Id, new CopyResult(DeviceStatus.IoError, 0, null, false, 0, 0, IsLeaseLost: true)));
            return;
        }

        var disks = plan.Legs.Select(parts => DiskOf(node, parts[0].Disk)).ToList();
        for (var block = (int)io.Blocks.Start; block < io.Blocks.End; block++)
        {
            var (leg, status) = EvenBlock(node, disks, plan.Sources, block);
            if (status == DeviceStatus.Ok) continue;
            if (status == DeviceStatus.NoSpace)
            {
                EndShort(node, life, effect, leg, disks[leg], isCopy: false);
                return;
            }

            OnNode(node, life, () => node.Core.EvenedOut(Now, effect.Id, new CopyResult(status, leg, disks[leg].Name, true, 0, 0)));
            return;
        }

        OnNode(node, life, () => node.Core.EvenedOut(Now, effect.Id, new CopyResult(DeviceStatus.Ok, 0, null, false, 0, 0)));
    }

    private static (int Leg, DeviceStatus Status) EvenBlock(SimNode node, List<SimDisk> disks, int sources, int block)
    {
        var last = (Leg: 0, Status: DeviceStatus.Ok);
        for (var source = 0; source < sources; source++)
        {
            last = (0, DeviceStatus.Ok);
            for (var leg = 0; leg < disks.Count && last.Status == DeviceStatus.Ok; leg++)
            {
                if (disks[leg].Cached[block] == disks[source].Cached[block]) continue;
                if (disks[leg].WriteStatus != DeviceStatus.Ok) return (leg, disks[leg].WriteStatus);
                if (!disks[leg].TryWrite(block, disks[source].Cached[block], node.Name)) last = (leg, DeviceStatus.NoSpace);
            }

            if (last.Status == DeviceStatus.Ok) return last;
        }

        return last;
    }

    private void EndShort(SimNode node, ulong life, MirrorEffect effect, int leg, SimDisk disk, bool isCopy)
    {
        _shortOfCopies.Add(disk.Name);
        var result = new CopyResult(DeviceStatus.NoSpace, leg, disk.Name, true, 0, 0);
        if (isCopy) OnNode(node, life, () => node.Core.CopyCompleted(Now, effect.Id, result));
        else OnNode(node, life, () => node.Core.EvenedOut(Now, effect.Id, result));
    }

    /// <summary>A leg is lost for want of space, at this moment, only if another that can be read now took the write, or after a copy to it
    /// found no space.</summary>
    public void CheckLost(string node, LegFailureReport report)
    {
        if (report.Reason != LegFailureReason.NoSpace || _shortOfCopies.Contains(report.Disk)) return;
        if (_control.ChangedOf(report.Leg) > report.Index) return; // It was lost for that already, and came back since.
        if (Node(node).Incarnation != _control.Member(node).Incarnation) return; // It died since, and its requests with it.
        var isElsewhere = !_isSpaceShared && Node(node).Mailbox.Values.Any(request => request.Outcome(report.Disk) == DeviceStatus.NoSpace
            && _control.Volume.Legs.Any(leg => leg.IsReadable && leg.Name != report.Leg
                && request.Outcome(leg.Extents[0].Disk) == DeviceStatus.Ok));
        if (!isElsewhere) Fail($"I-FULL leg {report.Leg} is lost by {node}, for its disk is full, though no other leg has the bytes, or it only got the last of the same space");
    }
}
