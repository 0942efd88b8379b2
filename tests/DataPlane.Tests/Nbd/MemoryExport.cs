using System.Collections.Concurrent;
using RaftMirror.DataPlane.Exports;
using RaftMirror.Primitives;

namespace RaftMirror.DataPlane.Tests.Nbd;

/// <summary>A volume in memory. <see cref="Gate"/> lets a test decide when and how each request ends.</summary>
internal sealed class MemoryExport : IExport, IDisposable
{
    private readonly Lock _lock = new();
    private readonly byte[] _data;
    private readonly ConcurrentQueue<CancellationTokenSource> _drops = new();
    private int _openSessions;
    private int _disposals;
    private int _runningAtDispose;

    public MemoryExport(string name = "set/vol", int sizeBytes = 1 << 20, bool readOnly = false, int minimumBlock = 512)
    {
        _data = new byte[sizeBytes];
        Info = new ExportInfo(name, "a volume for tests", sizeBytes, minimumBlock, 4096, readOnly, true);
    }

    public ExportInfo Info { get; }

    /// <summary>Asked for each request ("read 0+4096"); null ends it at once.</summary>
    public Func<string, Task<IoStatus>?>? Gate { get; set; }

    /// <summary>When sessions that are opened from now on are admitted; at once unless a test says otherwise.</summary>
    public Task Admission { get; set; } = Task.CompletedTask;

    /// <summary>Every request that reached the volume.</summary>
    public ConcurrentQueue<string> Calls { get; } = new();

    public int OpenSessions => Volatile.Read(ref _openSessions);

    public int Disposals => Volatile.Read(ref _disposals);

    /// <summary>Requests of a session that were in the volume when it was disposed, over all sessions; must be 0.</summary>
    public int RunningAtDispose => Volatile.Read(ref _runningAtDispose);

    public byte[] Snapshot(int offset, int length)
    {
        lock (_lock) return _data.AsSpan(offset, length).ToArray();
    }

    public void DropSessions()
    {
        foreach (var drop in _drops) drop.Cancel();
    }

    public IExportSession Open(string client)
    {
        Interlocked.Increment(ref _openSessions);
        var drop = new CancellationTokenSource();
        _drops.Enqueue(drop);
        return new Session(this, Admission, drop.Token);
    }

    public void Dispose()
    {
        foreach (var drop in _drops) drop.Dispose();
    }

    private sealed class Session(MemoryExport export, Task admitted, CancellationToken dropped) : IExportSession
    {
        private int _running;

        public Task Admitted => admitted;

        public CancellationToken Dropped => dropped;

        public ValueTask<IoStatus> ReadAsync(long offset, Memory<byte> destination, IReadBuffer? owner = null) =>
            Run($"read {offset}+{destination.Length}", () =>
                export._data.AsSpan((int)offset, destination.Length).CopyTo(destination.Span));

        public ValueTask<IoStatus> WriteAsync(long offset, ReadOnlyMemory<byte> source, bool forceUnitAccess) =>
            Run($"write {offset}+{source.Length}{(forceUnitAccess ? " fua" : "")}", () =>
                source.Span.CopyTo(export._data.AsSpan((int)offset)));

        public ValueTask<IoStatus> FlushAsync() => Run("flush", () => { });

        public ValueTask<IoStatus> TrimAsync(long offset, long lengthBytes, bool forceUnitAccess) =>
            Run($"trim {offset}+{lengthBytes}{(forceUnitAccess ? " fua" : "")}", () => { });

        public ValueTask<IoStatus> WriteZeroesAsync(long offset, long lengthBytes, bool mayUnmap, bool forceUnitAccess) =>
            Run($"zero {offset}+{lengthBytes}{(mayUnmap ? "" : " nohole")}{(forceUnitAccess ? " fua" : "")}", () =>
                export._data.AsSpan((int)offset, (int)lengthBytes).Clear());

        public void Dispose()
        {
            Interlocked.Add(ref export._runningAtDispose, Volatile.Read(ref _running));
            Interlocked.Increment(ref export._disposals);
            Interlocked.Decrement(ref export._openSessions);
        }

        private ValueTask<IoStatus> Run(string call, Action action)
        {
            export.Calls.Enqueue(call);
            Interlocked.Increment(ref _running);
            Task<IoStatus>? gated;
            try
            {
                gated = export.Gate?.Invoke(call);
            }
            catch
            {
                Interlocked.Decrement(ref _running);
                throw;
            }

            if (gated is not null) return Gated(gated, action);
            lock (export._lock) action();
            Interlocked.Decrement(ref _running);
            return ValueTask.FromResult(IoStatus.Ok);
        }

        private async ValueTask<IoStatus> Gated(Task<IoStatus> gated, Action action)
        {
            try
            {
                var status = await gated;
                if (status != IoStatus.Ok) return status;
                lock (export._lock) action();
                return status;
            }
            finally
            {
                Interlocked.Decrement(ref _running);
            }
        }
    }
}

/// <summary>A fixed set of exports that a test may change.</summary>
internal sealed class TestCatalog : IExportCatalog
{
    private readonly ConcurrentDictionary<string, IExport> _exports = new();

    public TestCatalog(params IExport[] exports)
    {
        foreach (var export in exports) _exports[export.Info.Name] = export;
    }

    private readonly ConcurrentDictionary<string, (ExportStanding Standing, string Reason)> _notServed = new();
    private readonly ChangeSignal _changed = new();

    public Task Changed => _changed.Next;

    /// <summary>Null if this node does not know its configuration.</summary>
    public string? Unknown { get; set; }

    /// <summary>Ends what <see cref="CatchUpAsync"/> waits for.</summary>
    public TaskCompletionSource? Majority { get; set; }

    public int CatchUps;

    public void Remove(string name)
    {
        _exports.TryRemove(name, out _);
        _changed.Raise();
    }

    public void Add(IExport export)
    {
        _exports[export.Info.Name] = export;
        _changed.Raise();
    }

    /// <summary>A name stands so from now on; null: its export is served.</summary>
    public void Set(string name, ExportStanding? standing, string reason = "")
    {
        if (standing is { } value) _notServed[name] = (value, reason);
        else _notServed.TryRemove(name, out _);
        _changed.Raise();
    }

    public void Raise() => _changed.Raise();

    public ExportList List() => Unknown is { } reason
        ? new ExportList(null, reason)
        : new ExportList([.. _exports.Values.Select(export => new ExportListing(export.Info.Name, export.Info.Description)).OrderBy(info => info.Name, StringComparer.Ordinal)]);

    public ExportLookup Look(string name)
    {
        var export = _exports.GetValueOrDefault(name);
        if (_notServed.TryGetValue(name, out var known)) return new ExportLookup(known.Standing, known.Reason, export);
        return export is null ? new ExportLookup(ExportStanding.None) : new ExportLookup(ExportStanding.Served, "", export);
    }

    public Task CatchUpAsync(CancellationToken cancellationToken)
    {
        Interlocked.Increment(ref CatchUps);
        return Majority?.Task.WaitAsync(cancellationToken) ?? Task.CompletedTask;
    }
}
