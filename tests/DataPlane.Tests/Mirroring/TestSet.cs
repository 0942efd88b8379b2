using System.Collections.Concurrent;
using RaftMirror.DataPlane.Configuration;
using RaftMirror.DataPlane.Devices;
using RaftMirror.DataPlane.DirtyRegions;
using RaftMirror.DataPlane.DirtyRegions.Core;
using RaftMirror.DataPlane.DiskIo;
using RaftMirror.DataPlane.Exports;
using RaftMirror.DataPlane.Leases.Core;
using RaftMirror.DataPlane.Mirroring.Core;
using RaftMirror.DataPlane.Mirroring.Shell;
using RaftMirror.Primitives;

namespace RaftMirror.DataPlane.Tests.Mirroring;

/// <summary>Some nodes' whole data planes over shared memory disks, with a control plane of one lock.</summary>
internal sealed class TestSet : IAsyncDisposable
{
    public const long VolumeBytes = 8 << 20;
    public const int RegionBytes = 1 << 20;

    private const long LongLeaseMs = 60_000;

    private static readonly TimeSpan EndLimit = TimeSpan.FromSeconds(60);

    private readonly object _gate = new();
    private readonly Dictionary<string, DataPlaneSet> _nodes = [];
    private readonly List<DataPlaneSet> _former = [];
    private readonly List<MemberConfiguration> _members = [];
    private readonly Dictionary<string, Guid> _diskIds = [];
    private ulong _index = 1;
    private readonly HashSet<string> _isRenewed = [];
    private bool _failsLog;
    private volatile bool _isOpeningUnproven;
    private TaskCompletionSource? _holdLog;

    public TestSet(WriterMode writers, RecoveryMode recovery, params string[] nodes)
        : this(null, writers, recovery, nodes)
    {
    }

    /// <summary>With a failure, no dirty log can be opened.</summary>
    public TestSet(DirtyLogFailure? logFailure, WriterMode writers, RecoveryMode recovery, params string[] nodes)
    {
        LogFailure = logFailure;
        Disks["d0"] = new FaultyDisk(new MemoryBlockDevice("d0", VolumeBytes));
        Disks["d1"] = new FaultyDisk(new MemoryBlockDevice("d1", VolumeBytes));
        Volume = new VolumeConfiguration(
            1, "s/v", VolumeBytes, RegionBytes, recovery, writers, ReadPolicy.RoundRobin,
            [Leg("a", "d0"), Leg("b", "d1")], new OwnerConfiguration(null, 0, 1, null), null, false, []);
        for (var i = 0; i < nodes.Length; i++) _members.Add(new(nodes[i], i, 1, MemberPhase.Up, true, false));
        foreach (var node in nodes) _nodes[node] = Begin(node);
        lock (_gate) Commit();
    }

    /// <summary>A further data plane of the node in the same incarnation, as after a leave that was refused. The former one must have ended.</summary>
    public void BeginAgain(string node)
    {
        lock (_gate)
        {
            _former.Add(_nodes[node]);
            _nodes[node] = Begin(node);
            Commit();
        }
    }

    private DataPlaneSet Begin(string node)
    {
        var wiring = new Wiring(this, node);
        return new DataPlaneSet(
            node, 1, new DataPlanePorts(wiring, wiring, wiring, BootTimeLeaseClock.Instance, Failures.Enqueue) { Disks = wiring },
            new MirrorOptions
            {
                ParkNs = 3_000_000_000,
                RepeatNs = 50_000_000,
                CleanNs = 100_000_000,
                TickNs = 10_000_000,
                CopyRetryNs = 20_000_000,
            });
    }

    public Dictionary<string, FaultyDisk> Disks { get; } = [];

    public VolumeConfiguration Volume { get; private set; }

    public ConcurrentQueue<Exception> Failures { get; } = new();

    public ConcurrentQueue<string> Reports { get; } = new();

    public DirtyLogFailure? LogFailure { get; }

    public ConcurrentQueue<DirtyLogFailure> LogFailures { get; } = new();

    public ConcurrentQueue<RegionUpdate> Marks { get; } = new();

    /// <summary>Who said that no call of it to which lost disk is left: "node disk".</summary>
    public ConcurrentQueue<string> IoEnded { get; } = new();

    /// <summary>Disks that are committed as lost.</summary>
    public HashSet<string> Lost { get; } = [];

    public ResyncFinishedReport? Finished { get; private set; }

    /// <summary>Leg failures are committed as Maintenance, with a barrier, when set.</summary>
    public bool CommitsLegFailures { get; set; } = true;

    /// <summary>Of the slots that the next configuration names.</summary>
    public ulong SlotGeneration { get; set; } = 1;

    /// <summary>While it is set, appends to the dirty log do not come back.</summary>
    public TaskCompletionSource? HoldLog { get => Volatile.Read(ref _holdLog); set => Volatile.Write(ref _holdLog, value); }

    /// <summary>A disk whose opening takes until that is set, and fails then; null: none.</summary>
    public (string Disk, ManualResetEventSlim Until)? Unproven { get; set; }

    /// <summary>The opening of <see cref="Unproven"/> has begun.</summary>
    public bool IsOpeningUnproven => _isOpeningUnproven;

    /// <summary>Appends to the dirty logs fail.</summary>
    public bool FailsLog { get => Volatile.Read(ref _failsLog); set => Volatile.Write(ref _failsLog, value); }

    public DataPlaneSet this[string node] => _nodes[node];

    public void Lease(long lengthMs = LongLeaseMs)
    {
        foreach (var node in _nodes.Keys) Lease(node, lengthMs);
    }

    public void Lease(string node, long lengthMs)
    {
        if (lengthMs == LongLeaseMs) _isRenewed.Add(node);
        _nodes[node].LeaseGranted(new LeaseGrant(BootTimeLeaseClock.Instance.NowNs, lengthMs * 1_000_000, _index, 1, 1));
    }

    public async Task<IExportSession> OpenAsync(string node)
    {
        await WaitAsync(() => _nodes[node].Find("s/v") is not null);
        var session = _nodes[node].Find("s/v")!.Open("test");
        // A new connection writes once a grant was asked for since it opened: the next renewal, as LeaseService sends them.
        if (_isRenewed.Contains(node)) Lease(node, LongLeaseMs);
        return session;
    }

    /// <summary>Waits until a node has taken the failure of its log in: two ticks of its volume later.</summary>
    public async Task PassedAsync(string node)
    {
        await WaitAsync(() => _nodes[node].Statistics().Count > 0); // None before the first tick.
        for (var i = 0; i < 3; i++)
        {
            var seen = _nodes[node].Statistics()[0];
            await WaitAsync(() => !ReferenceEquals(_nodes[node].Statistics()[0], seen));
        }
    }

    public void Change(Func<VolumeConfiguration, VolumeConfiguration> change)
    {
        lock (_gate)
        {
            Volume = change(Volume);
            Commit();
        }
    }

    /// <summary>A disk is lost, its leg offline; every node is to confirm.</summary>
    public void LoseDisk(string disk, string leg)
    {
        lock (_gate)
        {
            Lost.Add(disk);
            Volume = Volume with
            {
                Legs = Volume.Legs.Select(other => other.Name == leg ? other with { State = LegState.Offline } : other).ToArray(),
            };
            _awaited[_index + 1] = [.. _nodes.Keys];
            Commit();
        }
    }

    public static Task WaitAsync(Func<bool> condition) => WaitAsync(() => Task.FromResult(condition()));

    public static async Task WaitAsync(Func<Task<bool>> condition)
    {
        var limit = Environment.TickCount64 + 20_000;
        while (!await condition())
        {
            Assert(Environment.TickCount64 < limit);
            await Task.Delay(2); // Polls a condition of another thread's; the limit only ends a failed test.
        }
    }

    public async ValueTask DisposeAsync()
    {
        foreach (var disk in Disks.Values) // What a failed test left waiting.
        {
            disk.Hold?.Set();
            disk.HoldReads?.Set();
        }

        Unproven?.Until.Set();

        // A core or a disk's thread that threw takes no more input, so it would never drain: a node ends at once then.
        ThrowFailures();
        try
        {
            foreach (var node in _nodes.Values.Concat(_former)) await node.DisposeAsync().AsTask().WaitAsync(EndLimit);
        }
        finally
        {
            ThrowFailures(); // It says more than the time-out.
        }
    }

    private void ThrowFailures()
    {
        foreach (var failure in Failures) throw new InvalidOperationException("The data plane threw.", failure);
    }

    private static void Assert(bool condition) => Xunit.Assert.True(condition, "The condition did not come.");

    private static LegConfiguration Leg(string name, string disk) =>
        new(name, LegState.Okay, [new ExtentConfiguration(disk, 0, 0, VolumeBytes)]);

    private void Commit()
    {
        _index++;
        foreach (var (name, node) in _nodes)
        {
            var disks = new List<DiskConfiguration>();
            foreach (var disk in Disks.Keys)
            {
                if (!_diskIds.ContainsKey(disk)) _diskIds[disk] = Guid.NewGuid();
                disks.Add(new(disk, _diskIds[disk], disk, VolumeBytes, 512, 0, true, Lost.Contains(disk)) { IsLost = Lost.Contains(disk) });
            }

            node.Enact(new SetConfiguration(
                "s", Guid.Empty, Guid.Empty, _index, 1, name, null, 16, _members.ToArray(), disks,
                new SlotConfiguration(1, ["d0"], SlotGeneration), [ForNode(name)]));
        }
    }

    private readonly Dictionary<ulong, HashSet<string>> _awaited = [];

    private VolumeConfiguration ForNode(string node)
    {
        var barriers = new List<BarrierConfiguration>();
        foreach (var (id, waiting) in _awaited) barriers.Add(new(id, BarrierKind.LegLoss, waiting.Contains(node)));
        return Volume with { Barriers = barriers };
    }

    private sealed class Wiring(TestSet set, string node) : ISetResources, IVolumeReports, IPeerMessages, IDiskReports
    {
        public void Ask(string other, string disk, ulong question)
        {
        }

        public void Hangs(DiskHang hang)
        {
        }

        public void HangsOnlyHere(DiskHang hang)
        {
        }

        public void LogDiskSlow(SlotConfiguration slot, string disk)
        {
        }

        public void Recovered(string disk)
        {
        }

        void IDiskReports.IoEnded(string disk) => set.IoEnded.Enqueue($"{node} {disk}");

        public IBlockDevice OpenDisk(SetConfiguration configuration, DiskConfiguration disk)
        {
            if (set.Unproven is not { } unproven || unproven.Disk != disk.Name) return set.Disks[disk.Name];
            set._isOpeningUnproven = true;
            unproven.Until.Wait();
            throw new IOException("not known yet to be the one that the others use");
        }

        public ValueTask<IDirtyRegionLog> OpenLogAsync(
            SetConfiguration configuration, SlotConfiguration slot, IReadOnlyList<IBlockDevice> disks) =>
            set.LogFailure is { } failure
                ? throw new DirtyLogOpenException(failure)
                : ValueTask.FromResult<IDirtyRegionLog>(new ListLog(set));

        public void Send(string to, ReadOnlyMemory<byte> payload) => set._nodes[to].Receive(node, payload);

        public void RequestOwnership(uint volume, ulong epochSeen)
        {
            lock (set._gate)
            {
                var owner = set.Volume.Owner;
                if (owner.Epoch != epochSeen || owner.TransferTo is not null || owner.Node == node) return;
                set.Reports.Enqueue($"{node} asks");
                set.Volume = set.Volume with
                {
                    Owner = owner.Node is null
                        ? new OwnerConfiguration(node, 1, owner.Epoch + 1, null)
                        : owner with { Epoch = owner.Epoch + 1, TransferTo = node },
                };
                set.Commit();
            }
        }

        public void Released(uint volume, ReleaseReport report)
        {
            lock (set._gate)
            {
                var owner = set.Volume.Owner;
                if (owner.Node != node || owner.Epoch != report.Epoch || owner.TransferTo is null) return;
                set.Reports.Enqueue($"{node} released");
                set.Volume = set.Volume with { Owner = new(owner.TransferTo, 1, owner.Epoch + 1, null) };
                set.Commit();
            }
        }

        public void LegFailed(uint volume, LegFailureReport report)
        {
            lock (set._gate)
            {
                set.Reports.Enqueue($"{node} leg {report.Leg} {report.Reason}");
                if (!set.CommitsLegFailures) return;
                var legs = set.Volume.Legs.ToArray();
                var at = Array.FindIndex(legs, leg => leg.Name == report.Leg);
                if (legs[at].State != LegState.Okay) return;
                var isLast = legs.Count(leg => leg.IsReadable) == 1;
                legs[at] = legs[at] with { State = isLast ? LegState.LastErred : LegState.Maintenance };
                set.Volume = set.Volume with { Legs = legs };
                if (!isLast) set._awaited[set._index + 1] = [.. set._nodes.Keys];
                set.Commit();
            }
        }

        public void BarrierConfirmed(uint volume, ulong barrier, IReadOnlyList<ByteRange> marked)
        {
            lock (set._gate)
            {
                if (!set._awaited.TryGetValue(barrier, out var waiting) || !waiting.Remove(node)) return;
                set.Reports.Enqueue($"{node} confirms");
                if (waiting.Count == 0) set._awaited.Remove(barrier);
                set.Commit();
            }
        }

        public void ResyncProgressed(uint volume, ResyncProgressReport report)
        {
        }

        public void ResyncFinished(uint volume, ResyncFinishedReport report)
        {
            lock (set._gate)
            {
                if (set.Volume.Resync is null || report.Epoch != set.Volume.Owner.Epoch) return;
                set.Finished = report;
                set.Volume = set.Volume with { Resync = null };
                set.Commit();
            }
        }

        public void DirtyLogFailed(SlotConfiguration slot, DirtyLogFailure failure)
        {
            set.LogFailures.Enqueue(failure);
            set.Reports.Enqueue($"{node} log {failure.Message}");
        }

        public void DirtyLogOpened(SlotConfiguration slot) => set.Reports.Enqueue($"{node} log open");

        public void Fenced(string disk) => set.Reports.Enqueue($"{node} fenced");
    }

    private sealed class ListLog(TestSet set) : IDirtyRegionLog
    {
        public DirtyLogFailure? Failure => null;

        public async ValueTask<bool> AppendAsync(ReadOnlyMemory<RegionUpdate> updates)
        {
            await Task.Yield();
            if (set.HoldLog is { } hold) await hold.Task;
            if (set.FailsLog) return false;
            foreach (var update in updates.ToArray()) set.Marks.Enqueue(update);
            return true;
        }

        public ValueTask DisposeAsync() => default;
    }
}

/// <summary>A memory disk that outlives its users and fails on demand.</summary>
internal sealed class FaultyDisk(MemoryBlockDevice inner) : IBlockDevice
{
    private volatile bool _failsWrites;
    private volatile bool _failsReads;
    private volatile bool _failsFlushes;
    private volatile ManualResetEventSlim? _hold;
    private volatile ManualResetEventSlim? _holdReads;
    private int _heldReads;

    public MemoryBlockDevice Inner => inner;

    public bool FailsWrites { get => _failsWrites; set => _failsWrites = value; }

    public bool FailsReads { get => _failsReads; set => _failsReads = value; }

    public bool FailsFlushes { get => _failsFlushes; set => _failsFlushes = value; }

    public bool IsFenced { get; set; }

    /// <summary>Writes wait for it, if set.</summary>
    public ManualResetEventSlim? Hold { get => _hold; set => _hold = value; }

    public int Held;

    /// <summary>Reads wait for it, if set.</summary>
    public ManualResetEventSlim? HoldReads { get => _holdReads; set => _holdReads = value; }

    /// <summary>Reads that wait, or are being done after having waited.</summary>
    public int HeldReads => Volatile.Read(ref _heldReads);

    public string Name => inner.Name;

    public long SizeBytes => inner.SizeBytes;

    public int SectorBytes => inner.SectorBytes;

    public DeviceStatus Read(long offset, Span<byte> buffer)
    {
        if (_holdReads is not { } hold) return _failsReads ? DeviceStatus.IoError : inner.Read(offset, buffer);
        Interlocked.Increment(ref _heldReads);
        hold.Wait();
        var status = inner.Read(offset, buffer);
        Interlocked.Decrement(ref _heldReads);
        return status;
    }

    public DeviceStatus Write(long offset, ReadOnlySpan<byte> buffer)
    {
        if (_hold is { } hold)
        {
            Interlocked.Increment(ref Held);
            hold.Wait();
        }

        if (IsFenced) return DeviceStatus.Fenced;
        return _failsWrites ? DeviceStatus.IoError : inner.Write(offset, buffer);
    }

    public DeviceStatus Flush() => _failsFlushes ? DeviceStatus.IoError : inner.Flush();

    public DeviceStatus Trim(long offset, long lengthBytes) => inner.Trim(offset, lengthBytes);

    public DeviceStatus WriteZeroes(long offset, long lengthBytes, bool mayUnmap) => inner.WriteZeroes(offset, lengthBytes, mayUnmap);

    public byte[] Content()
    {
        using var buffer = AlignedBufferPool.Shared.Rent((int)SizeBytes);
        inner.Read(0, buffer.GetSpan()[..(int)SizeBytes]);
        return buffer.GetSpan()[..(int)SizeBytes].ToArray();
    }

    public void Dispose()
    {
    }
}
