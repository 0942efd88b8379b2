using RaftMirror.DataPlane.Configuration;
using RaftMirror.Primitives;

namespace RaftMirror.Simulation.Mirrors;

// Disks that neither answer nor fail (design §14.20).
internal sealed partial class MirrorWorld
{
    private long _allHangUntilNs;

    /// <summary>All disks hang once, for about twice the time that a request may wait. Before the run.</summary>
    public void HangDisks(Xoshiro random) => After((200 + random.Next(800)) * Ms, () => HangForLong(random), "all hang");

    // What a dead node left in a disk that hangs for longer than the horizon, and that is not lost, may land after it: not covered (docs/results).
    // So nobody is disturbed meanwhile, and it begins when nobody is.
    private void HangForLong(Xoshiro random)
    {
        if (!AreAllServing || _cuts.Count > 0 || _ios.Exists(IsOfDeadLife))
        {
            // Begun later, it would outlast the faults, which are healed then.
            if (Now < FaultPhaseNs / 8) After(20 * Ms, () => HangForLong(random), "all hang");
            return;
        }

        _allHangUntilNs = Now + (2 * ParkNs) + (random.Next(800) * Ms);
        _calmUntilNs = Math.Max(_calmUntilNs, _allHangUntilNs);
        foreach (var disk in _disks) Hang(disk, _allHangUntilNs);
    }

    private bool AreAllServing => Array.TrueForAll(
        _nodes, node => node.IsAlive && node.PausedUntilNs < Now && _control.Member(node.Name) is { State: MemberPhase.Up, IsJoined: true });

    /// <summary>Long enough to be lost: what hangs for a shorter time is a slow device within its bound.</summary>
    private void Hang(SimDisk disk) => Hang(disk, Now + ((600 + _random.Next(4000)) * Ms));

    private void Hang(SimDisk disk, long until)
    {
        _hangs++;
        (disk.IsHanging, disk.HangingSinceNs) = (true, Now);
        Log($"disk {disk.Name} hangs");
        At(until, () => disk.IsHanging = Now < _allHangUntilNs, "answers");
    }

    /// <summary>A dirty log lies on several disks and leaves one that hangs; where all do, it waits with them, and so does what comes after.</summary>
    private void AppendWhatIsDue(SimNode node)
    {
        while (node.Appends.TryPeek(out var next) && next.At <= Now)
        {
            if (Array.TrueForAll(_disks, static disk => disk.IsHanging))
            {
                After(10 * Ms, () => AppendWhatIsDue(node), "hang");
                return;
            }

            node.Appends.Dequeue().Append();
        }
    }

    /// <summary>The loss of a leg ends although its disk goes on hanging: no node that is up waits for it.</summary>
    private void CheckLossEnds()
    {
        if (_control.OldestLossNs is not { } since || Now - since < 3000 * Ms) return;
        if (!Array.TrueForAll(_nodes, node => node.IsAlive && node.PausedUntilNs <= Now - (2500 * Ms) && _control.Member(node.Name).State == MemberPhase.Up)) return;
        Fail($"I-LIVE the loss of a leg has not ended for {(Now - since) / Ms} ms, while its disk hangs{DescribeNodes()}");
    }
}
