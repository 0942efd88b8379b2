using System.Collections.Concurrent;
using System.Threading.Channels;
using RaftMirror.DataPlane.Configuration;
using RaftMirror.DataPlane.Devices;
using RaftMirror.DataPlane.DirtyRegions;
using RaftMirror.DataPlane.Leases.Core;
using RaftMirror.DataPlane.Mirroring.Core;
using RaftMirror.DataPlane.Nbd;

namespace RaftMirror.DataPlane.Mirroring;

/// <summary>What a set's data plane is wired to.</summary>
/// <param name="Resources">Opens disks and the dirty log.</param>
/// <param name="Reports">Hears what the control plane must know.</param>
/// <param name="Peers">Sends to the other nodes' data planes of this set.</param>
/// <param name="Clock">Clock of leases.</param>
/// <param name="Fatal">Called with a broken invariant: the node must stop (data may not be what the code believes). Any thread.</param>
public sealed record DataPlanePorts(
    ISetResources Resources, IVolumeReports Reports, IPeerMessages Peers, ILeaseClock Clock, Action<Exception> Fatal);

/// <summary>The data plane of one disk set on one node and incarnation: its volumes as exports.</summary>
/// <remarks>A loop takes configurations in order, opens disks and the dirty log, then hands each volume its part. A lease counts in
/// a volume once the volume has enacted what the grant asks for, so a slow disk ends service rather than safety.</remarks>
public sealed class DataPlaneSet : IExportCatalog, IVolumeHost, IAsyncDisposable
{
    private static readonly TimeSpan ReopenAfter = TimeSpan.FromSeconds(5);

    private readonly string _self;
    private readonly ulong _incarnation;
    private readonly DataPlanePorts _ports;
    private readonly MirrorOptions _options;
    private readonly Channel<Command> _commands = Channel.CreateUnbounded<Command>(new() { SingleReader = true });
    private readonly ConcurrentDictionary<uint, MirrorVolume> _volumes = new();
    private readonly ConcurrentDictionary<string, IBlockDevice> _disks = new();
    private readonly CancellationTokenSource _stopping = new();
    private readonly LegIoPool _pool;
    private readonly Timer _ticker;
    private readonly Task _loop;
    private readonly Lock _leaseGate = new();
    private LeaseGrant? _grant;
    private SetConfiguration? _configuration;
    private SlotConfiguration? _slot;
    private OpenLog? _log;
    private volatile bool _isLogLost;
    private readonly Lock _endGate = new();
    private readonly ulong _spentGeneration;
    private Task<bool>? _end;

    /// <summary>Starts with nothing; serves once configurations and a lease came.</summary>
    /// <param name="self">This node's name.</param>
    /// <param name="incarnation">This node's incarnation; for another one, make another object.</param>
    /// <param name="ports">What it is wired to.</param>
    /// <param name="options">Times and bounds.</param>
    /// <param name="spentGeneration">Newest slot generation that an earlier object of this incarnation may have opened: that slot may hold
    /// marks, so it is given up to be merged and never opened (and so erased) again. 0: none.</param>
    public DataPlaneSet(
        string self, ulong incarnation, DataPlanePorts ports, MirrorOptions? options = null, ulong spentGeneration = 0)
    {
        ArgumentNullException.ThrowIfNull(ports);
        _self = self;
        _incarnation = incarnation;
        _ports = ports;
        _options = options ?? new MirrorOptions();
        _spentGeneration = spentGeneration;
        _pool = new LegIoPool(self, LegIoPool.DefaultThreads, ports.Fatal);
        var period = TimeSpan.FromMilliseconds(Math.Max(1, _options.TickNs / 1_000_000));
        _ticker = new Timer(_ => PostAll(new(MirrorVolume.InputKind.Tick)), null, period, period);
        _loop = Task.Run(RunAsync);
    }

    long IVolumeHost.NowNs => _ports.Clock.NowNs;

    LegIoPool IVolumeHost.Pool => _pool;

    IVolumeReports IVolumeHost.Reports => _ports.Reports;

    IPeerMessages IVolumeHost.Peers => _ports.Peers;

    /// <summary>Takes over a committed configuration; each one that concerns the set, in log order, none left out. Returns at
    /// once; leases whose grants ask for it count only when every volume has it. One thread at a time.</summary>
    public void Enact(SetConfiguration configuration) => _commands.Writer.TryWrite(new Command(configuration, 0));

    /// <summary>Nothing up to <paramref name="index"/> that is not enacted concerns this set. Same thread as
    /// <see cref="Enact"/>.</summary>
    public void EnactedUpTo(ulong index) => _commands.Writer.TryWrite(new Command(null, index));

    /// <summary>A lease came from the leader. Any thread.</summary>
    public void LeaseGranted(LeaseGrant grant)
    {
        lock (_leaseGate)
        {
            _grant = grant;
            PostAll(new(MirrorVolume.InputKind.Lease, Payload: grant));
        }
    }

    /// <summary>A message of another node's data plane of this set. Any thread; never throws for bad bytes.</summary>
    /// <param name="fromNode">The sender, as the transport proved it.</param>
    /// <param name="payload">Kept only during the call.</param>
    public void Receive(string fromNode, ReadOnlyMemory<byte> payload)
    {
        if (!PeerMessageCodec.TryDecode(payload.Span, out var message)) return;
        if (_volumes.TryGetValue(message.Volume, out var volume))
        {
            volume.Post(new(MirrorVolume.InputKind.Message, Disk: fromNode, Payload: message));
            return;
        }

        // A volume that is not known here yet has no writes under way. Windows are not confirmed in its name: its core must know them.
        if (message.Kind != PeerMessageKind.DrainRequest || message.ToIncarnation != _incarnation) return;
        _ports.Peers.Send(fromNode, PeerMessageCodec.Encode(new PeerMessage(
            PeerMessageKind.DrainDone, message.Volume, _incarnation, message.FromIncarnation, Sequence: message.Sequence)));
    }

    /// <inheritdoc/>
    public IReadOnlyList<ExportInfo> List()
    {
        var list = new List<ExportInfo>();
        foreach (var volume in _volumes.Values) list.Add(volume.Info);
        list.Sort(static (a, b) => string.CompareOrdinal(a.Name, b.Name));
        return list;
    }

    /// <inheritdoc/>
    public IExport? Find(string name)
    {
        foreach (var volume in _volumes.Values)
        {
            if (volume.Info.Name == name) return volume;
        }

        return null;
    }

    /// <summary>Figures of every volume, by number, as of the last tick.</summary>
    public IReadOnlyList<VolumeStatistics> Statistics()
    {
        var list = new List<VolumeStatistics>();
        foreach (var volume in _volumes.Values)
        {
            if (volume.Statistics is { } statistics) list.Add(statistics);
        }

        list.Sort(static (a, b) => a.Volume.CompareTo(b.Volume));
        return list;
    }

    /// <summary>Generation of the newest slot that was, or was to be, opened here; 0 for none. Meaningful after <see cref="EndAsync"/>.</summary>
    public ulong SlotGeneration => _slot?.Generation ?? _spentGeneration;

    /// <summary>Clean stop: takes no more requests, drops clients, waits for the end of physical I/O, flushes, clears
    /// marks while the lease lasts, closes log and disks. However often it is called, there is one end, and each call waits for it.</summary>
    /// <returns>True only if it is proven that nothing is left: all was flushed, and no mark of this node is needed any more. If
    /// false, the slot must be merged.</returns>
    public Task<bool> EndAsync()
    {
        lock (_endGate) return _end ??= Task.Run(EndOnceAsync);
    }

    /// <inheritdoc/>
    public async ValueTask DisposeAsync() => await EndAsync();

    private async Task<bool> EndOnceAsync()
    {
        _commands.Writer.TryComplete();
        await _stopping.CancelAsync();
        await _loop;
        PostAll(new(MirrorVolume.InputKind.Shutdown));
        foreach (var volume in _volumes.Values) await volume.Drained;
        await _ticker.DisposeAsync();
        await Task.Run(_pool.Dispose);
        foreach (var volume in _volumes.Values) await volume.AppendsEnded;
        if (_log is { } open) await open.Log.DisposeAsync();
        foreach (var disk in _disks.Values) disk.Dispose();
        _stopping.Dispose();
        var isClean = true;
        foreach (var volume in _volumes.Values) isClean &= volume.EndedClean;
        return isClean;
    }

    IBlockDevice? IVolumeHost.FindDisk(string name) => _disks.GetValueOrDefault(name);

    async ValueTask<bool> IVolumeHost.AppendAsync(RegionUpdate[] updates)
    {
        var open = Volatile.Read(ref _log);
        if (open is null) return false;
        if (await open.Log.AppendAsync(updates)) return true;
        if (Volatile.Read(ref _log) != open) return false; // Replaced meanwhile: its end says nothing about the new one.
        if (Interlocked.Exchange(ref open.IsReported, 1) == 0)
            LoseLog(open.Slot, open.Log.Failure ?? new DirtyLogFailure("the dirty log failed", null));
        return false;
    }

    void IVolumeHost.Fatal(Exception exception) => _ports.Fatal(exception);

    private async Task RunAsync()
    {
        try
        {
            while (true)
            {
                using var pause = CancellationTokenSource.CreateLinkedTokenSource(_stopping.Token);
                if (HasMissingDisk()) pause.CancelAfter(ReopenAfter);
                try
                {
                    if (!await _commands.Reader.WaitToReadAsync(pause.Token)) return;
                }
                catch (OperationCanceledException)
                {
                    if (_stopping.IsCancellationRequested) return;
                    OpenDisks();
                    continue;
                }

                while (!_stopping.IsCancellationRequested && _commands.Reader.TryRead(out var command)) await TakeAsync(command);
            }
        }
#pragma warning disable CA1031 // Whatever it was, configurations would be lost from here on: the node must stop.
        catch (Exception exception)
#pragma warning restore CA1031
        {
            _ports.Fatal(exception);
        }
    }

    private async Task TakeAsync(Command command)
    {
        if (command.Configuration is not { } configuration)
        {
            PostAll(new(MirrorVolume.InputKind.EnactedUpTo, command.Index));
            return;
        }

        _configuration = configuration;
        OpenDisks();
        ApplyVolumes(configuration);
        await ApplyLogAsync(configuration);
    }

    private bool HasMissingDisk()
    {
        if (_configuration is null) return false;
        foreach (var disk in _configuration.Disks)
        {
            if (!disk.IsFailed && !_disks.ContainsKey(disk.Name)) return true;
        }

        return false;
    }

    private void OpenDisks()
    {
        foreach (var disk in _configuration!.Disks)
        {
            if (disk.IsFailed || _disks.ContainsKey(disk.Name)) continue;
            try
            {
                _disks[disk.Name] = _ports.Resources.OpenDisk(_configuration, disk);
            }
            catch (IOException)
            {
                // Its calls answer Unreachable, which is reported leg by leg; it is tried again.
            }
        }
    }

    private void ApplyVolumes(SetConfiguration configuration)
    {
        foreach (var volume in configuration.Volumes)
        {
            var info = Describe(configuration, volume);
            if (!_volumes.TryGetValue(volume.Number, out var shell))
            {
                shell = new MirrorVolume(new MirrorCore(_self, _incarnation, volume.Number, _options), info, this, _options);
                lock (_leaseGate)
                {
                    _volumes[volume.Number] = shell;
                    if (_grant is { } grant) shell.Post(new(MirrorVolume.InputKind.Lease, Payload: grant));
                }

                if (_isLogLost) shell.Post(new(MirrorVolume.InputKind.LogLost));
                Configure(shell, configuration, volume);
                if (_log is { IsReported: 0 }) shell.Post(new(MirrorVolume.InputKind.LogOpened));
                continue;
            }

            shell.Describe(info);
            Configure(shell, configuration, volume);
        }

        foreach (var shell in _volumes.Values)
        {
            var isThere = false;
            foreach (var volume in configuration.Volumes) isThere |= volume.Number == shell.Number;
            if (isThere) continue;
            shell.Post(new(MirrorVolume.InputKind.Removed));
            _volumes.TryRemove(shell.Number, out _);
        }
    }

    private static void Configure(MirrorVolume shell, SetConfiguration configuration, VolumeConfiguration volume) =>
        shell.Post(new(MirrorVolume.InputKind.Configuration, Payload: new VolumeView(
            configuration.Index, configuration.Self, configuration.Members, volume)));

    private static ExportInfo Describe(SetConfiguration configuration, VolumeConfiguration volume)
    {
        var sector = 512;
        foreach (var leg in volume.Legs)
        {
            foreach (var extent in leg.Extents)
            {
                foreach (var disk in configuration.Disks)
                {
                    if (disk.Name == extent.Disk) sector = Math.Max(sector, disk.SectorBytes);
                }
            }
        }

        // Multi-conn is true: an acknowledged write is on the devices of all readable legs, where every node reads it, and a flush on
        // any node flushes those devices. Page-cached disks are allowed on one host only (design §14.11), where that holds too.
        return new ExportInfo(
            volume.Name, $"mirror {volume.Name}", volume.SizeBytes, sector, 4096, IsReadOnly: false, IsMultiConn: true);
    }

    private async Task ApplyLogAsync(SetConfiguration configuration)
    {
        var slot = configuration.OwnSlot;
        if (slot is null || slot.Incarnation != _incarnation || slot.Generation == _slot?.Generation) return;
        var disks = new List<IBlockDevice>();
        foreach (var name in slot.Disks)
        {
            if (_disks.TryGetValue(name, out var disk)) disks.Add(disk);
        }

        _slot = slot;
        if (slot.Generation <= _spentGeneration)
        {
            LoseLog(slot, new DirtyLogFailure("The node left the set and stayed after all; its log is opened anew.", null));
            return;
        }

        if (_log is { } old)
        {
            _log = null;
            PostAll(new(MirrorVolume.InputKind.LogLost));
            await old.Log.DisposeAsync();
        }

        if (disks.Count < slot.Disks.Count)
        {
            LoseLog(slot, new DirtyLogFailure("A disk of the dirty log cannot be opened.", MissingDisk(slot)));
            return;
        }

        try
        {
            var log = await _ports.Resources.OpenLogAsync(configuration, slot, disks);
            Volatile.Write(ref _log, new OpenLog(log, slot));
        }
        catch (IOException exception)
        {
            // Without the disk the control plane would choose the same disks again, at once and for ever.
            LoseLog(slot, exception is DirtyLogOpenException { Failure: { } failure } ? failure : new DirtyLogFailure(exception.Message, null));
            return;
        }

        _isLogLost = false;
        PostAll(new(MirrorVolume.InputKind.LogOpened));
        _ports.Reports.DirtyLogOpened(slot);
    }

    /// <summary>Stops writes and copies of the logged volumes, and reports once those under way have ended: the report makes the control
    /// plane give this node's ownerships away at once, so nothing of this node may reach a leg after it.</summary>
    private void LoseLog(SlotConfiguration slot, DirtyLogFailure failure)
    {
        _isLogLost = true; // Before the look at the volumes: one that comes later sees it.
        var quiet = new List<Task>();
        foreach (var volume in _volumes.Values) quiet.Add(volume.LoseLog());
        _ = ReportLogLossAsync(quiet, slot, failure);
    }

    private async Task ReportLogLossAsync(List<Task> quiet, SlotConfiguration slot, DirtyLogFailure failure)
    {
        await Task.WhenAll(quiet);
        _ports.Reports.DirtyLogFailed(slot, failure);
    }

    private string? MissingDisk(SlotConfiguration slot)
    {
        foreach (var name in slot.Disks)
        {
            if (!_disks.ContainsKey(name)) return name;
        }

        return null;
    }

    private void PostAll(MirrorVolume.Input input)
    {
        foreach (var volume in _volumes.Values) volume.Post(input);
    }

    private readonly record struct Command(SetConfiguration? Configuration, ulong Index);

    private sealed class OpenLog(IDirtyRegionLog log, SlotConfiguration slot)
    {
        public int IsReported;

        public IDirtyRegionLog Log { get; } = log;

        public SlotConfiguration Slot { get; } = slot;
    }
}
