using RaftMirror.DataPlane.Configuration;
using RaftMirror.DataPlane.Metadata;
using RaftMirror.Primitives;

namespace RaftMirror.Simulation.Mirrors;

/// <summary>What somebody does to a disk.</summary>
internal enum DiskExchange
{
    /// <summary>Nothing.</summary>
    None,

    /// <summary>An older copy of it is put in its place.</summary>
    RolledBack,

    /// <summary>A copy that has served elsewhere meanwhile.</summary>
    Forked,

    /// <summary>It is cut, and grows back.</summary>
    Cut,

    /// <summary>It is not there for a while.</summary>
    Absent,
}

// Old and other disks (design §14.19), disks that are missing at start (§14.21), and disks in use that hang all at once (§14.20). Labels carry
// stamps; whether a disk is believed, the product's verdict says.
internal sealed partial class MirrorWorld
{
    private const long BeatNs = 300 * Ms;

    private readonly Dictionary<DiskExchange, int> _exchanged = [];
    private readonly List<SimDiskImage> _images = [];
    private readonly Dictionary<string, SimDiskImage> _takenAway = new(StringComparer.Ordinal);
    private Xoshiro? _exchanges;
    private SimStamps? _stamps;
    private bool _skipsProof;
    private (string Disk, DiskExchange What)[] _planned = [];
    private int _blackouts;
    private int _activations;
    private int _brokenActivations;
    private int _refusedDisks;
    private int _everythingOwed;
    private int _clones;
    private int _refusedNodes;
    private int _hangsOfAll;
    private long _calmUntilNs;

    private string ExchangeFigures => _stamps is null ? ""
        : $", {_blackouts} blackouts, {_activations} activations, {_brokenActivations} cut short, {_exchanged.GetValueOrDefault(DiskExchange.RolledBack)} rolled back, "
        + $"{_exchanged.GetValueOrDefault(DiskExchange.Forked)} forked, {_exchanged.GetValueOrDefault(DiskExchange.Cut)} shrunk, "
        + $"{_exchanged.GetValueOrDefault(DiskExchange.Absent)} absent, {_clones} nodes with copies, {_refusedDisks} disks refused, {_refusedNodes} nodes refused, "
        + $"{_everythingOwed} returned in full, {_hangsOfAll} times all disks in use hung";

    private bool AreDisksSound => Array.TrueForAll(_disks, static disk => disk is { FailsWrites: false, IsHanging: false, IsCut: false })
        && _takenAway.Count == 0;

    /// <summary>Somebody puts other disks in place now and then. Before the run.</summary>
    public void ExchangeDisks(Xoshiro random, bool skipsProof)
    {
        (_exchanges, _skipsProof, _stamps) = (random, skipsProof, new SimStamps(random));
        foreach (var disk in _disks) _stamps.Add(disk);
        After(BeatNs, Beat, "beat");
        After(200 * Ms, TakeImage, "image");
        After((500 + random.Next(1500)) * Ms, Exchange, "exchange");
    }

    /// <summary>A leg is lost, whatever for.</summary>
    public void LegLeft(string disk) => _stamps?.Left(disk);

    public bool IsStamped(string disk) => _stamps?.IsStamped(disk) ?? true;

    /// <summary>A node wants to join: it looks at its disks. The first one activates the set.</summary>
    public bool MayEnter(string name, bool isFirst)
    {
        if (_stamps is null) return true;
        var node = Node(name);
        if (node.Copies.Count > 0 && !IsProven(node, isFirst)) return false;
        if (!isFirst) return true;
        PutPlanned();
        return Activate(node);
    }

    private SimDisk DiskOf(SimNode node, string name) =>
        node.Copies.TryGetValue(name, out var copy) ? copy : Array.Find(_disks, disk => disk.Name == name)!;

    /// <summary>A copy that is current by its label is known by the nonces alone, and those need a node that serves (ADR 0020): with none, what the
    /// first node activates is the set. The world has one set, so there the path is mended.</summary>
    private bool IsProven(SimNode node, bool isFirst)
    {
        var verdict = node.Copies.Values.Select(_stamps!.Judge).FirstOrDefault(static verdict => !verdict.IsUsable);
        if (verdict is null && isFirst) node.Copies.Clear();
        if (verdict is null && (isFirst || _skipsProof)) return true;
        if (!node.IsRefused) _refusedNodes++;
        node.IsRefused = true;
        return false;
    }

    private bool Activate(SimNode node)
    {
        _activations++;
        _stamps!.Activate(node.Incarnation);
        var stamped = new List<string>();
        var lost = new List<string>();
        var isCut = Now < FaultPhaseNs && _exchanges!.Chance(0.1);
        foreach (var leg in _control.Volume.Legs.Where(static leg => leg.IsWritable))
        {
            var disk = Array.Find(_disks, d => d.Name == leg.Extents[0].Disk)!;
            if (disk.FailsWrites || disk.IsHanging) lost.Add(leg.Name);
            else if (_stamps.Stamp(disk).IsUsable) stamped.Add(disk.Name);
            else
            {
                CountRefused(disk);
                lost.Add(leg.Name);
            }

            if (!isCut || !_exchanges!.Chance(0.6)) continue;
            _brokenActivations++;
            Log($"{node.Name} dies in its activation");
            Kill(node);
            return false;
        }

        if (!_control.Volume.Legs.Any(leg => leg.IsReadable && !lost.Contains(leg.Name))) return false; // Until the right one is back.
        _stamps.Complete(stamped);
        foreach (var leg in lost) _control.Lose(leg);
        Log($"{node.Name} activates the set on {string.Join(' ', stamped)}");
        return true;
    }

    private void Beat()
    {
        After(BeatNs, Beat, "beat");
        var isServed = Array.Exists(_nodes, node => node.IsAlive && node.PausedUntilNs <= Now
            && _control.Member(node.Name) is { State: MemberPhase.Up, IsJoined: true } member && member.Incarnation == node.Incarnation);
        if (!isServed) return;
        var stamped = new List<string>();
        foreach (var leg in _control.Volume.Legs.Where(static leg => leg.IsWritable))
        {
            var disk = Array.Find(_disks, d => d.Name == leg.Extents[0].Disk)!;
            if (disk.FailsWrites || disk.IsHanging || _exchanges!.Chance(0.05)) continue; // Not reached this time.
            if (_stamps!.Stamp(disk).IsUsable)
            {
                stamped.Add(disk.Name);
                continue;
            }

            CountRefused(disk);
            Log($"a beat finds {disk.Name} to be another disk");
            _control.Lose(leg.Name);
        }

        if (!_exchanges!.Chance(0.05)) _stamps!.Complete(stamped); // Its node may die before it is committed.
    }

    private void TakeImage()
    {
        if (Now > FaultPhaseNs) return;
        After((100 + _exchanges!.Next(500)) * Ms, TakeImage, "image");
        var disk = _disks[_exchanges.Next(_disks.Length)];
        if (_takenAway.ContainsKey(disk.Name) || disk.IsCut) return;
        _images.Add(disk.Image());
    }

    private void Exchange()
    {
        if (Now > FaultPhaseNs - (500 * Ms)) return;
        After((300 + _exchanges!.Next(1000)) * Ms, Exchange, "exchange");
        if (!AreDisksSound || !_control.AreAllOkay || _planned.Length > 0 || Now < _calmUntilNs) return;
        var disk = _disks[_exchanges.Next(_disks.Length)];
        switch (_exchanges.Next(9))
        {
            case 0 or 1 or 2:
                Blackout();
                break;
            case 3 or 4 or 5:
                Unplug(disk);
                break;
            case 6:
                Cut(disk);
                break;
            case 7:
                HangAll();
                break;
            default:
                LeadToCopies(_nodes[_exchanges.Next(_nodes.Length)]);
                break;
        }
    }

    /// <summary>Every node dies; before one is back, somebody was at the disks.</summary>
    private void Blackout()
    {
        _blackouts++;
        Log("blackout");
        DiskExchange Draw() => _exchanges!.Chance(0.4) ? DiskExchange.RolledBack : _exchanges.Chance(0.4) ? DiskExchange.Absent : (DiskExchange)_exchanges.Next(4);
        var all = _exchanges!.Chance(0.15);
        var one = _exchanges.Next(_disks.Length);
        _planned = [.. _disks.Where((_, i) => all || i == one).Select(disk => (disk.Name, Draw()))];
        foreach (var node in _nodes)
        {
            if (node.IsAlive) Kill(node);
        }
    }

    /// <summary>No node serves, and nothing of any earlier one is under way.</summary>
    private void PutPlanned()
    {
        foreach (var (name, what) in _planned)
        {
            var disk = Array.Find(_disks, d => d.Name == name)!;
            if (disk.FailsWrites || disk.IsHanging) continue;
            if (what == DiskExchange.Absent)
            {
                Count(what, disk);
                (disk.FailsWrites, disk.IsPathLost) = (true, true);
                After((300 + _exchanges!.Next(2500)) * Ms, () => disk.FailsWrites = false, "found");
            }
            else if (what != DiskExchange.None)
            {
                Put(disk, what);
            }
        }

        _planned = [];
    }

    /// <summary>The disk is unreachable until its leg is lost, and comes back as another one now and then.</summary>
    private void Unplug(SimDisk disk)
    {
        (disk.FailsWrites, disk.IsPathLost) = (true, true);
        Log($"disk {disk.Name} is taken out");
        var what = _exchanges!.Chance(0.3) ? DiskExchange.None : _exchanges.Chance(0.5) ? DiskExchange.RolledBack : (DiskExchange)(1 + _exchanges.Next(3));
        After((500 + _exchanges.Next(1200)) * Ms, () => PlugIn(disk, what), "plug in");
    }

    private void PlugIn(SimDisk disk, DiskExchange what)
    {
        var isOut = !_control.Volume.Legs.Any(leg => leg.Extents[0].Disk == disk.Name && leg.IsWritable)
            && !_ios.Exists(io => io.Disk == disk || io.IsCopy);
        if (isOut && what != DiskExchange.None && _control.Volume.Legs.Any(leg => leg.Extents[0].Disk == disk.Name && leg.State == LegState.Offline)) Put(disk, what);
        disk.FailsWrites = false;
    }

    private void Put(SimDisk disk, DiskExchange what)
    {
        var older = _images.FindAll(image => image.Disk == disk.Name && _stamps!.IsOlderThanKnown(disk.Name, image.Stamp));
        if (older.Count == 0 && what is DiskExchange.RolledBack or DiskExchange.Forked) return;
        Count(what, disk);
        _takenAway[disk.Name] = disk.Image();
        if (what == DiskExchange.Cut)
        {
            disk.Shrink(_exchanges!.Next(Blocks));
            disk.GrowBack();
        }
        else
        {
            disk.Become(older[_exchanges!.Next(older.Count)]);
            if (what == DiskExchange.Forked) disk.Stamp = _stamps!.Forked(disk.Name);
        }

        After((400 + _exchanges.Next(2500)) * Ms, () => PutRight(disk), "put right");
    }

    /// <summary>Somebody puts the right disk back, unless the other one was taken in by then, to be written anew.</summary>
    private void PutRight(SimDisk disk)
    {
        if (!_takenAway.TryGetValue(disk.Name, out var right)) return;
        if (_control.Volume.Legs.Any(leg => leg.Extents[0].Disk == disk.Name && leg.IsWritable) && _control.IsServed) return;
        if (_ios.Exists(io => io.Disk == disk)) return;
        Log($"disk {disk.Name} is put right");
        _takenAway.Remove(disk.Name);
        disk.Become(right);
    }

    /// <summary>The file is cut under a running set. The device says so to each write, and to reads behind the cut.</summary>
    private void Cut(SimDisk disk)
    {
        Count(DiskExchange.Cut, disk);
        _takenAway[disk.Name] = disk.Image();
        disk.Shrink(_exchanges!.Next(Blocks));
        After(400 * Ms, () => GrowBack(disk), "grow");
    }

    private void GrowBack(SimDisk disk)
    {
        if (!disk.IsCut) return; // It was put right meanwhile.
        var isLost = !_control.Volume.Legs.Any(leg => leg.Extents[0].Disk == disk.Name && leg.IsWritable) && !_ios.Exists(io => io.Disk == disk || io.IsCopy);
        if (!isLost)
        {
            After(50 * Ms, () => GrowBack(disk), "grow");
            return;
        }

        disk.GrowBack();
        After((400 + _exchanges!.Next(1500)) * Ms, () => PutRight(disk), "put right");
    }

    /// <summary>Every disk in use hangs: none is lost for that, and all goes on when they answer. No node is lost meanwhile: what a dead one has in a disk
    /// that is in use and hangs beyond the horizon nothing holds back (ADR 0021).</summary>
    private void HangAll()
    {
        if (!AreAllServing) return;
        _hangsOfAll++;
        var length = (300 + _exchanges!.Next(2200)) * Ms; // Less than a node waits before it gives up its life for a write that some legs lack.
        _calmUntilNs = Now + length + (200 * Ms);
        var one = _exchanges.Chance(0.5) ? _disks[_exchanges.Next(_disks.Length)] : null;
        Log($"every disk hangs{(one is null ? "" : $", {one.Name} is unreachable")}");
        foreach (var disk in _disks)
        {
            if (disk == one) (disk.FailsWrites, disk.IsPathLost) = (true, true);
            else (disk.IsHanging, disk.HangingSinceNs) = (true, Now);
        }

        After(length, () =>
        {
            foreach (var disk in _disks) (disk.IsHanging, disk.FailsWrites) = (false, false);
        }, "answer");
    }

    /// <summary>When that node is back, its paths lead to copies of one disk or of all.</summary>
    private void LeadToCopies(SimNode node)
    {
        if (!node.IsAlive || _nodes.Count(static other => other.IsAlive) < 2) return;
        Kill(node);
        var all = _exchanges!.Chance(0.5);
        var one = _exchanges.Next(_disks.Length);
        _clones++;
        foreach (var disk in _disks.Where((_, i) => all || i == one))
        {
            var older = _images.FindAll(image => image.Disk == disk.Name);
            var image = older.Count > 0 && _exchanges.Chance(0.5) ? older[_exchanges.Next(older.Count)] : disk.Image();
            node.Copies[disk.Name] = SimDisk.From(image, disk.Id);
        }

        node.IsRefused = false;
        After((1500 + _exchanges.Next(2500)) * Ms, () => MendPaths(node), "mend paths");
    }

    private void MendPaths(SimNode node)
    {
        if (_control.Member(node.Name) is { IsJoined: true, State: MemberPhase.Up } member && member.Incarnation == node.Incarnation) return;
        node.Copies.Clear();
    }

    private void Count(DiskExchange what, SimDisk disk)
    {
        _exchanged[what] = _exchanged.GetValueOrDefault(what) + 1;
        Log($"disk {disk.Name}: {what}");
    }

    private void CountRefused(SimDisk disk)
    {
        if (!disk.IsRefused) _refusedDisks++;
        disk.IsRefused = true;
    }

    /// <summary>The disk of a leg that is offline can be seen again by all.</summary>
    private void TryReturn(LegConfiguration leg, SimDisk disk)
    {
        if (_stamps is null)
        {
            _control.Return(leg.Name);
            return;
        }

        var verdict = _stamps.Judge(disk);
        if (!verdict.IsUsable && verdict.Finding != DiskFinding.Older)
        {
            CountRefused(disk);
            return;
        }

        if (!_control.Return(leg.Name, isEverythingOwed: !verdict.IsUsable)) return;
        if (!verdict.IsUsable) _everythingOwed++;
        _takenAway.Remove(disk.Name); // From here on it is the disk.
        _stamps.Returned(disk.Name, !verdict.IsUsable);
        Log($"disk {disk.Name} returns: {verdict.Finding}");
    }

    private void HealDisks()
    {
        foreach (var disk in _disks)
        {
            if (disk.IsCut) continue; // It is lost and grows back first.
            if (_takenAway.ContainsKey(disk.Name)) PutRight(disk);
        }

        foreach (var node in _nodes) MendPaths(node);
    }
}
