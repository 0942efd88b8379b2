using RaftMirror.DataPlane.Configuration;
using RaftMirror.DataPlane.Devices;
using RaftMirror.DataPlane.DiskIo.Core;
using RaftMirror.DataPlane.Metadata;
using RaftMirror.Primitives;

namespace RaftMirror.DataPlane.DiskIo;

/// <summary>What the watch of a set's disks asks of its node. Each call returns at once and may come from any thread.</summary>
public interface IDiskReports
{
    /// <summary>Asks another node whether it can use a disk now; what it says goes to <c>DataPlaneSet.DiskAnswered</c>.</summary>
    void Ask(string node, string disk, ulong question);

    /// <summary>A disk neither answers nor fails, on no node that was asked. Repeated until the configuration calls it lost.</summary>
    void Hangs(DiskHang hang);

    /// <summary>A disk hangs here, and is fine on another node. Repeated while that is so.</summary>
    void HangsOnlyHere(DiskHang hang);

    /// <summary>One of the two disks of this node's dirty log is slow while the other is not. Repeated until the configuration has the log
    /// leave it.</summary>
    void LogDiskSlow(SlotConfiguration slot, string disk);

    /// <summary>A disk that hung here only does so no longer.</summary>
    void Recovered(string disk);

    /// <summary>Calls to a lost disk that were given up have all come back: none of this life is in the kernel. Repeated while the disk is
    /// lost.</summary>
    void IoEnded(string disk);
}

/// <summary>A disk that hangs.</summary>
/// <param name="Disk">Name.</param>
/// <param name="AgeMs">Age of its oldest call.</param>
/// <param name="Asked">Who was asked, by node and incarnation.</param>
/// <param name="Slow">Other disks that are slow at the same time: nothing may count on them.</param>
/// <param name="FineOn">A node on which it is fine; null if there is none.</param>
public sealed record DiskHang(
    string Disk, long AgeMs, IReadOnlyDictionary<string, ulong> Asked, IReadOnlyList<string> Slow, string? FineOn);

/// <summary>A disk's figures for status; a snapshot.</summary>
/// <param name="Disk">Name.</param>
/// <param name="OldestMs">Age of the oldest call in the kernel; 0 if there is none.</param>
/// <param name="Calls">Calls in the kernel.</param>
/// <param name="Phase">fine, slow, hangs, allSlow or onlyHere.</param>
public sealed record DiskStatistics(string Disk, long OldestMs, int Calls, string Phase)
{
    internal const string Fine = "fine";

    /// <summary>It answers.</summary>
    public bool IsFine => Phase == Fine;
}

/// <summary>The shell around <see cref="DiskWatch"/>: looks at a set's ports, asks and reports. Any thread.</summary>
internal sealed class DiskWatcher(
    Func<IEnumerable<DiskPort>> ports, Func<long> nowNs, IDiskReports? reports, AlignedBufferPool pool)
{
    private static readonly TimeSpan ProbeLimit = TimeSpan.FromSeconds(1);
    private readonly Lock _gate = new();
    private readonly DiskWatch _watch = new();
    private readonly Dictionary<(string Disk, ByteRange Place), Task<DiskAnswer>> _probes = [];
    private readonly Dictionary<string, long> _endedNs = new(StringComparer.Ordinal);
    private SetConfiguration? _configuration;
    private WatchView _view = new([], [], []);

    /// <summary>Takes over a configuration.</summary>
    public void Apply(SetConfiguration configuration)
    {
        var view = ViewOf(configuration);
        lock (_gate) (_configuration, _view) = (configuration, view);
    }

    /// <summary>Looks at every disk.</summary>
    /// <param name="hasEnded">True if no call to a lost disk is left here, and none will begin.</param>
    public void Tick(Func<string, bool> hasEnded)
    {
        var ages = new List<DiskAge>();
        foreach (var port in ports()) ages.Add(new DiskAge(port.Name, port.Calls.OldestNs()));
        WatchEffect[] effects;
        WatchView view;
        lock (_gate)
        {
            if (_configuration is null) return;
            view = _view;
            _watch.Tick(nowNs(), new WatchTimes(_configuration.DeviceTimeoutMs * 1_000_000), ages, view);
            effects = _watch.Effects.ToArray();
            _watch.Effects.Clear();
        }

        if (reports is null) return;
        foreach (var effect in effects) CarryOut(effect, view);
        foreach (var disk in view.Lost)
        {
            if (hasEnded(disk)) ReportEnded(disk);
        }
    }

    /// <summary>A node's answer to a question.</summary>
    public void Answered(string disk, ulong question, string node, DiskAnswer answer)
    {
        lock (_gate) _watch.Answered(nowNs(), disk, question, node, answer);
    }

    /// <summary>Figures of every disk.</summary>
    public IReadOnlyList<DiskStatistics> Statistics()
    {
        var list = new List<DiskStatistics>();
        foreach (var port in ports())
        {
            lock (_gate)
            {
                var oldest = port.Calls.OldestNs();
                var age = oldest == long.MaxValue ? 0 : Math.Max(0, nowNs() - oldest) / 1_000_000;
                list.Add(new DiskStatistics(port.Name, age, port.Calls.Count, WordOf(_watch.Of(port.Name).Phase)));
            }
        }

        list.Sort(static (a, b) => string.CompareOrdinal(a.Disk, b.Disk));
        return list;
    }

    /// <summary>Can this node use the disk now? Reads its label, writes a block that is there for that, flushes, and reads the place asked
    /// for. One probe of a place at a time: one that hangs answers for those that come after it.</summary>
    /// <param name="disk">Disk.</param>
    /// <param name="place">Bytes of the disk; empty for none. What does not lie on it fails.</param>
    public Task<DiskAnswer> ProbeAsync(string disk, ByteRange place = default)
    {
        lock (_gate)
        {
            if (_probes.TryGetValue((disk, place), out var running) && !running.IsCompleted) return LimitAsync(running);
            foreach (var ended in _probes.Where(static probe => probe.Value.IsCompleted).Select(static probe => probe.Key).ToArray()) _probes.Remove(ended);
            DiskPort? found = null;
            foreach (var port in ports())
            {
                if (port.Name == disk) found = port;
            }

            if (found is not { State: DiskPortState.Open or DiskPortState.Opening } || _configuration is not { } configuration)
                return Task.FromResult(DiskAnswer.Unknown);
            var call = new Probe(pool, configuration, place);
            found.EnqueueUrgent(call);
            return LimitAsync(_probes[(disk, place)] = call.Answer);
        }
    }

    private static string WordOf(WatchPhase phase) => phase switch
    {
        WatchPhase.Slow => "slow",
        WatchPhase.Hangs => "hangs",
        WatchPhase.AllSlow => "allSlow",
        WatchPhase.OnlyHere => "onlyHere",
        _ => DiskStatistics.Fine,
    };

    private static async Task<DiskAnswer> LimitAsync(Task<DiskAnswer> probe)
    {
        try
        {
            return await probe.WaitAsync(ProbeLimit);
        }
        catch (TimeoutException)
        {
            return DiskAnswer.Hangs;
        }
    }

    private void CarryOut(WatchEffect effect, WatchView view)
    {
        if (effect.Kind == WatchEffectKind.Ask)
        {
            reports!.Ask(effect.Node!, effect.Disk, effect.Question);
            return;
        }

        if (effect.Kind == WatchEffectKind.Recovered)
        {
            reports!.Recovered(effect.Disk);
            return;
        }

        var asked = new SortedDictionary<string, ulong>(StringComparer.Ordinal);
        foreach (var peer in view.Peers) asked[peer.Node] = peer.Incarnation;
        var hang = new DiskHang(effect.Disk, effect.AgeNs / 1_000_000, asked, effect.Slow ?? [], effect.Node);
        if (effect.Kind == WatchEffectKind.Hangs) reports!.Hangs(hang);
        else reports!.HangsOnlyHere(hang);
    }

    private void ReportEnded(string disk)
    {
        lock (_gate)
        {
            if (_endedNs.TryGetValue(disk, out var last) && nowNs() - last < 1_000_000_000) return;
            _endedNs[disk] = nowNs();
        }

        reports!.IoEnded(disk);
    }

    private static WatchView ViewOf(SetConfiguration configuration)
    {
        var peers = new List<WatchPeer>();
        foreach (var member in configuration.Members)
        {
            if (member.Node != configuration.Self && member is { IsJoined: true, State: MemberPhase.Up })
                peers.Add(new WatchPeer(member.Node, member.Incarnation));
        }

        var groups = new List<IReadOnlyList<IReadOnlyList<string>>>();
        foreach (var volume in configuration.Volumes)
        {
            var places = new List<IReadOnlyList<string>>();
            foreach (var leg in volume.Legs)
            {
                if (leg.IsReadable) places.Add(DisksOf(leg));
            }

            groups.Add(places);
        }

        if (configuration.OwnSlot is { } slot)
        {
            var places = new List<IReadOnlyList<string>>();
            foreach (var disk in slot.Disks) places.Add([disk]);
            groups.Add(places);
        }

        var lost = new List<string>();
        foreach (var disk in configuration.Disks)
        {
            if (disk.IsLost) lost.Add(disk.Name);
        }

        return new WatchView(peers, groups, lost);
    }

    private static List<string> DisksOf(LegConfiguration leg)
    {
        var disks = new List<string>();
        foreach (var extent in leg.Extents)
        {
            if (!disks.Contains(extent.Disk)) disks.Add(extent.Disk);
        }

        return disks;
    }

    private sealed class Probe(AlignedBufferPool pool, SetConfiguration configuration, ByteRange place) : DiskCall
    {
        private readonly TaskCompletionSource<DiskAnswer> _answer = new(TaskCreationOptions.RunContinuationsAsynchronously);

        public Task<DiskAnswer> Answer => _answer.Task;

        public override DeviceStatus Execute(IBlockDevice device) => DiskTrial.Run(device, pool, OwnSlot(device), place);

        public override void Ended(DeviceStatus status) =>
            _answer.TrySetResult(status == DeviceStatus.Ok ? DiskAnswer.Fine : DiskAnswer.Fails);

        /// <summary>A disk that this node has not opened, as one that it may not use yet, has not failed.</summary>
        public override void Refused() => _answer.TrySetResult(DiskAnswer.Unknown);

        public override void Release() => _answer.TrySetResult(DiskAnswer.Hangs);

        private long? OwnSlot(IBlockDevice device)
        {
            foreach (var member in configuration.Members)
            {
                if (member.Node == configuration.Self
                    && DiskLayout.TryCreate(device.SizeBytes, configuration.Disks[0].MetadataBytes, configuration.MaxNodes, out var layout, out _))
                {
                    return layout.SlotOffset(member.Slot);
                }
            }

            return null;
        }
    }
}
