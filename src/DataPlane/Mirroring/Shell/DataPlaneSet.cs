using System.Collections.Concurrent;
using System.Threading.Channels;
using RaftMirror.DataPlane.Configuration;
using RaftMirror.DataPlane.Devices;
using RaftMirror.DataPlane.DirtyRegions.Core;
using RaftMirror.DataPlane.DiskIo;
using RaftMirror.DataPlane.DiskIo.Core;
using RaftMirror.DataPlane.Exports;
using RaftMirror.DataPlane.Leases.Core;
using RaftMirror.DataPlane.Mirroring.Core;
using RaftMirror.Primitives;

namespace RaftMirror.DataPlane.Mirroring.Shell;

/// <summary>What a set's data plane is wired to.</summary>
/// <param name="Resources">Opens disks and the dirty log.</param>
/// <param name="Reports">Hears what the control plane must know.</param>
/// <param name="Peers">Sends to the other nodes' data planes of this set.</param>
/// <param name="Clock">Clock of leases.</param>
/// <param name="Fatal">Called with a broken invariant: the node must stop (data may not be what the code believes). Any thread.</param>
public sealed record DataPlanePorts(
    ISetResources Resources, IVolumeReports Reports, IPeerMessages Peers, ILeaseClock Clock, Action<Exception> Fatal)
{
    /// <summary>Hears of disks that hang; null: nobody.</summary>
    public IDiskReports? Disks { get; init; }

    /// <summary>Called when a volume begins or ceases to be there, or to be served. Any thread; must return at once.</summary>
    public Action ServiceChanged { get; init; } = static () => { };
}

/// <summary>The data plane of one disk set on one node and incarnation: its volumes as exports.</summary>
/// <remarks>A loop takes configurations in order, opens disks and the dirty log, then hands each volume its part. A lease counts in
/// a volume once the volume has enacted what the grant asks for, so a slow disk ends service rather than safety.</remarks>
public sealed class DataPlaneSet : IVolumeHost, IAsyncDisposable
{
    private static readonly TimeSpan ReopenAfter = TimeSpan.FromSeconds(1);

    private readonly string _self;
    private readonly ulong _incarnation;
    private readonly DataPlanePorts _ports;
    private readonly MirrorOptions _options;
    private readonly Channel<Command> _commands = Channel.CreateUnbounded<Command>(new() { SingleReader = true });
    private readonly ConcurrentDictionary<uint, MirrorVolume> _volumes = new();
    private readonly ConcurrentDictionary<string, DiskPort> _disks = new();
    private readonly CancellationTokenSource _stopping = new();
    private readonly DirtyLogKeeper _log;
    private readonly DiskWatcher _watcher;
    private readonly Timer _ticker;
    private readonly Task _loop;
    private readonly Lock _leaseGate = new();
    private LeaseGrant? _grant;
    private SetConfiguration? _configuration;
    private readonly Lock _endGate = new();
    private Task<bool>? _end;
    private Task? _silence;
    private readonly TaskCompletionSource _shutDown = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly TaskCompletionSource _closed = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private bool _isEnding; // The loop's, like _isClosing.
    private bool _isClosing;

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
        _log = new DirtyLogKeeper(incarnation, spentGeneration, ports, FindDisk, () => _volumes.Values);
        var period = TimeSpan.FromMilliseconds(Math.Max(1, _options.TickNs / 1_000_000));
        _watcher = new DiskWatcher(() => _disks.Values, () => ports.Clock.NowNs, ports.Disks, AlignedBufferPool.Shared);
        _ticker = new Timer(_ => Tick(), null, period, period);
        _loop = Task.Run(RunAsync);
    }

    long IVolumeHost.NowNs => _ports.Clock.NowNs;

    IVolumeReports IVolumeHost.Reports => _ports.Reports;

    IPeerMessages IVolumeHost.Peers => _ports.Peers;

    /// <summary>Takes over a committed configuration; each one that concerns the set, in log order, none left out. Returns at
    /// once; leases whose grants ask for it count only when every volume has it. One thread at a time.</summary>
    public void Enact(SetConfiguration configuration) => _commands.Writer.TryWrite(new Command(configuration, 0, CommandKind.Enact));

    /// <summary>Nothing up to <paramref name="index"/> that is not enacted concerns this set. Same thread as
    /// <see cref="Enact"/>.</summary>
    public void EnactedUpTo(ulong index) => _commands.Writer.TryWrite(new Command(null, index, CommandKind.EnactedUpTo));

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
            volume.Receive(fromNode, message);
            return;
        }

        // A volume that is not known here yet has no writes under way, and no clients. Windows are not confirmed in its name: its core must
        // know them.
        if (message.ToIncarnation != _incarnation) return;
        var answer = message.Kind switch
        {
            PeerMessageKind.DrainRequest => PeerMessageKind.DrainDone,
            PeerMessageKind.OrderQuestion => PeerMessageKind.OrderAnswer,
            _ => default,
        };
        if (answer == default) return;
        _ports.Peers.Send(fromNode, PeerMessageCodec.Encode(new PeerMessage(
            answer, message.Volume, _incarnation, message.FromIncarnation, Sequence: message.Sequence)));
    }

    /// <summary>The volume of that name as clients attach it, or null. Any thread.</summary>
    public IExport? Find(string name) => FindVolume(name);

    /// <summary>Whether the volume of that name is served here at this moment. Any thread.</summary>
    public ExportLookup Look(string name)
    {
        if (FindVolume(name) is not { } volume) return new ExportLookup(ExportStanding.NotServed, "this node has not taken the volume over yet");
        return volume.NotServed is { } reason
            ? new ExportLookup(ExportStanding.NotServed, reason, volume)
            : new ExportLookup(ExportStanding.Served, "", volume);
    }

    private MirrorVolume? FindVolume(string name)
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

    /// <summary>Figures of every disk, by name.</summary>
    public IReadOnlyList<DiskStatistics> DiskStatistics() => _watcher.Statistics();

    /// <summary>Can this node use a disk of the set now? Answers within about a second, whatever the disk does. Any thread.</summary>
    /// <param name="disk">Disk.</param>
    /// <param name="place">Bytes of the disk to be read as well; empty for none.</param>
    public Task<DiskAnswer> ProbeDiskAsync(string disk, ByteRange place = default) => _watcher.ProbeAsync(disk, place);

    /// <summary>What another node said of a disk. Any thread.</summary>
    /// <param name="disk">Disk.</param>
    /// <param name="question">From <see cref="IDiskReports.Ask"/>.</param>
    /// <param name="node">Who said it.</param>
    /// <param name="answer">What.</param>
    public void DiskAnswered(string disk, ulong question, string node, DiskAnswer answer) => _watcher.Answered(disk, question, node, answer);

    /// <summary>Gives this node's dirty log up for a new one: logged writes end, the slot is reported, and they go on once another is open. Any
    /// thread; returns at once.</summary>
    /// <param name="generation">Of the slot that is meant.</param>
    /// <param name="why">For people.</param>
    public void GiveUpLog(ulong generation, string why) => _log.GiveUp(generation, why);

    /// <summary>Generation of the newest slot that was, or was to be, opened here; 0 for none. Meaningful after <see cref="EndAsync"/>.</summary>
    public ulong SlotGeneration => _log.Generation;

    /// <summary>Clean stop: takes no more requests, drops clients, waits for the end of physical I/O, flushes, clears
    /// marks while the lease lasts, closes log and disks. However often it is called, there is one end, and each call waits for it.</summary>
    /// <remarks>It hears configurations, leases and messages until it is disposed: what it waits for may end by a configuration only (a disk
    /// that hangs is committed as lost), and as long as the committed state counts this node, the others wait for what it confirms.</remarks>
    /// <returns>True only if it is proven that nothing is left: all was flushed, and no mark of this node is needed any more. If
    /// false, the slot must be merged.</returns>
    public Task<bool> EndAsync()
    {
        lock (_endGate) return _end ??= Task.Run(EndOnceAsync);
    }

    /// <summary>Ends it, and hears nothing any more: to be called once nobody counts on this node for the set.</summary>
    public async ValueTask DisposeAsync()
    {
        Task silence;
        lock (_endGate) silence = _silence ??= Task.Run(FallSilentAsync);
        await silence;
    }

    /// <summary>What an end that is under way waits for, for people; null if it is not known.</summary>
    public string? EndWaitsFor()
    {
        foreach (var volume in Statistics())
        {
            if (volume.Wait is { } wait) return $"a call to disk '{wait.Disk}' has not come back for {wait.AgeMs / 1000} s";
        }

        foreach (var disk in _disks.Values)
        {
            if (disk.Calls.Count > 0) return $"a call to disk '{disk.Name}' has not come back";
        }

        return null;
    }

    private async Task<bool> EndOnceAsync()
    {
        _commands.Writer.TryWrite(new Command(null, 0, CommandKind.ShutDown));
        await Task.WhenAny(_shutDown.Task, _loop); // The loop ends before that only if it failed: the node stops.
        foreach (var volume in _volumes.Values) await volume.Drained;
        foreach (var volume in _volumes.Values) await volume.AppendsEnded;
        await _log.EndAsync();
        _commands.Writer.TryWrite(new Command(null, 0, CommandKind.Close));
        // Whoever opens a disk next must find no call of this life in the kernel. For a lost one the committed state waits, not this.
        await Task.WhenAny(_closed.Task, _loop);
        var isClean = true;
        // What a former data plane left counts, too: a node that leaves asserts that nothing of it can land any more.
        foreach (var disk in _configuration?.Disks ?? []) isClean &= !LivingPorts.Any(_self, disk.Id);
        foreach (var volume in _volumes.Values) isClean &= volume.EndedClean;
        return isClean;
    }

    private async Task FallSilentAsync()
    {
        await EndAsync();
        _commands.Writer.TryComplete();
        await _stopping.CancelAsync();
        await _loop;
        await _ticker.DisposeAsync();
        _stopping.Dispose();
    }

    private bool IsLost(string name)
    {
        foreach (var disk in _configuration?.Disks ?? [])
        {
            if (disk.Name == name) return disk.IsLost;
        }

        return false;
    }

    private void ShutDown()
    {
        _isEnding = true; // No volume comes after that.
        PostAll(new(MirrorVolume.InputKind.Shutdown));
        _shutDown.TrySetResult();
    }

    private void Close()
    {
        _isClosing = true;
        foreach (var disk in _disks.Values)
        {
            disk.Close();
            _ = disk.Closed.ContinueWith(_ => LookAgain(), CancellationToken.None, TaskContinuationOptions.None, TaskScheduler.Default);
        }
    }

    private void StepClosing()
    {
        if (!_isClosing) return;
        foreach (var disk in _disks.Values)
        {
            if (!disk.Closed.IsCompleted && !IsLost(disk.Name)) return;
        }

        _closed.TrySetResult();
    }

    DiskPort? IVolumeHost.FindDisk(string name) => FindDisk(name);

    ValueTask<bool> IVolumeHost.AppendAsync(RegionUpdate[] updates) => _log.AppendAsync(updates);

    void IVolumeHost.ServiceChanged() => _ports.ServiceChanged();

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

                while (!_stopping.IsCancellationRequested && _commands.Reader.TryRead(out var command)) Take(command);
            }
        }
#pragma warning disable CA1031 // Whatever it was, configurations would be lost from here on: the node must stop.
        catch (Exception exception)
#pragma warning restore CA1031
        {
            _ports.Fatal(exception);
        }
    }

    private void Take(Command command)
    {
        switch (command.Kind)
        {
            case CommandKind.Enact:
                Take(command.Configuration!);
                break;
            case CommandKind.EnactedUpTo:
                PostAll(new(MirrorVolume.InputKind.EnactedUpTo, command.Index));
                break;
            case CommandKind.LookAgain:
                if (_configuration is { } current) ApplyVolumes(current);
                break;
            case CommandKind.ShutDown:
                ShutDown();
                break;
            default:
                Close();
                break;
        }

        StepClosing();
    }

    private void Take(SetConfiguration configuration)
    {
        _configuration = configuration;
        _watcher.Apply(configuration);
        OpenDisks();
        ApplyVolumes(configuration);
        _log.Apply(configuration);
    }

    private DiskPort? FindDisk(string name) => _disks.GetValueOrDefault(name);

    private bool HasMissingDisk()
    {
        if (_configuration is null || _isClosing) return false;
        foreach (var disk in _configuration.Disks)
        {
            if (!disk.IsFailed && FindDisk(disk.Name) is not { State: DiskPortState.Open or DiskPortState.Opening }) return true;
        }

        return false;
    }

    /// <summary>Begins to open what is not open; calls to it wait meanwhile. Nobody waits here: a disk may hang at its opening.</summary>
    private void OpenDisks()
    {
        var configuration = _configuration!;
        foreach (var disk in configuration.Disks)
        {
            if (disk.IsLost) CloseLost(disk.Name);
            if (disk.IsFailed || _isClosing) continue;
            if (FindDisk(disk.Name) is { State: DiskPortState.Closed } former)
            {
                if (!former.Closed.IsCompleted) continue; // What hung in it must have ended.
                _disks.TryRemove(disk.Name, out _);
            }

            var port = _disks.GetOrAdd(disk.Name, _ => NewPort(disk));
            port.BeginOpen(() => _ports.Resources.OpenDisk(configuration, disk), Opened); // Nothing, unless it is missing.
        }
    }

    private DiskPort NewPort(DiskConfiguration disk)
    {
        var port = new DiskPort(disk.Name, () => _ports.Clock.NowNs, _ports.Fatal);
        LivingPorts.Add(_self, disk.Id, port);
        return port;
    }

    /// <summary>No call to a lost disk begins any more, from its dirty log neither; what is in the kernel ends when it ends.</summary>
    private void CloseLost(string disk)
    {
        _log.Leave(disk);
        FindDisk(disk)?.Close();
    }

    // The loop looks again: volumes wait for the disk no more, or it tries again after a while.
    private void Opened(IOException? failure) => LookAgain();

    private void LookAgain() => _commands.Writer.TryWrite(new Command(null, 0, CommandKind.LookAgain));

    private void ApplyVolumes(SetConfiguration configuration)
    {
        foreach (var volume in configuration.Volumes)
        {
            var info = Describe(configuration, volume);
            if (!_volumes.TryGetValue(volume.Number, out var shell))
            {
                if (_isEnding) continue;
                shell = new MirrorVolume(new MirrorCore(_self, _incarnation, volume.Number, _options), info, this, _options);
                lock (_leaseGate)
                {
                    _volumes[volume.Number] = shell;
                    if (_grant is { } grant) shell.Post(new(MirrorVolume.InputKind.Lease, Payload: grant));
                }

                if (_log.IsLost) shell.Post(new(MirrorVolume.InputKind.LogLost));
                Configure(shell, configuration, volume);
                _ports.ServiceChanged();
                if (_log.IsOpen) shell.Post(new(MirrorVolume.InputKind.LogOpened));
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
            _ports.ServiceChanged();
        }
    }

    private void Configure(MirrorVolume shell, SetConfiguration configuration, VolumeConfiguration volume)
    {
        if (volume.WaitsFor is null && NotOpen(configuration, volume) is { } disk)
            volume = volume with { WaitsFor = $"disk '{disk}' is not open here" };
        shell.Post(new(MirrorVolume.InputKind.Configuration, Payload: new VolumeView(
            configuration.Index, configuration.Self, configuration.Members, volume)));
    }

    /// <summary>A disk that a leg in use needs and that this node has not opened: a call to it would fail, and a path that is missing here
    /// says nothing against the leg (design §14.21). One that is failed is not opened, and its legs are to be reported.</summary>
    private string? NotOpen(SetConfiguration configuration, VolumeConfiguration volume)
    {
        foreach (var disk in configuration.Disks)
        {
            if (disk.IsFailed || FindDisk(disk.Name) is { State: DiskPortState.Open }) continue;
            foreach (var leg in volume.Legs)
            {
                if (leg.IsWritable && leg.Extents.Any(extent => extent.Disk == disk.Name)) return disk.Name;
            }
        }

        return null;
    }

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

    private void Tick()
    {
        foreach (var volume in _volumes.Values) volume.Tick();
        _watcher.Tick(HasEnded);
    }

    /// <summary>True once no call to a lost disk is left in this process' kernel queue: every port to it is closed, with its device, also those
    /// of data planes that this one follows. That it has no port itself says nothing.</summary>
    private bool HasEnded(string name)
    {
        foreach (var disk in _configuration?.Disks ?? [])
        {
            if (disk.Name == name) return !LivingPorts.Any(_self, disk.Id);
        }

        return false;
    }

    private void PostAll(MirrorVolume.Input input)
    {
        foreach (var volume in _volumes.Values) volume.Post(input);
    }

    private readonly record struct Command(SetConfiguration? Configuration, ulong Index, CommandKind Kind);

    private enum CommandKind
    {
        Enact,
        EnactedUpTo,

        /// <summary>A disk was opened, could not be opened, or is closed.</summary>
        LookAgain,
        ShutDown,
        Close,
    }
}
