using FASTER.core;
using RaftMirror.DataPlane.Configuration;
using RaftMirror.DataPlane.Devices;
using RaftMirror.DataPlane.DirtyRegions.Core;
using RaftMirror.DataPlane.Metadata;

namespace RaftMirror.DataPlane.DirtyRegions.Faster;

/// <summary>The dirty-region log on FasterLog, in this node's slot of one or two disks. One committer task owns the log: it
/// takes what callers queued, appends it, commits once, and answers them all. When the ring is 60 % full it appends a
/// snapshot and drops what was before. Any thread calls <see cref="AppendAsync"/>; the order of calls is the order of the log.
/// The queue is bounded by the callers, each of whom waits for its updates.</summary>
public sealed class FasterDirtyRegionLog : IDirtyRegionLog
{
    private readonly Lock _gate = new();
    private readonly LogLegs _legs;
    private readonly RingDevice _ring;
    private readonly CommitBlocks _commits;
    private readonly FasterLog _log;
    private readonly EntryWriter _writer;
    private readonly SlotLayout _layout;
    private readonly SlotHeader _header;
    private readonly SemaphoreSlim _work = new(0);
    private readonly EntryWriter.Sink _sink;
    private Queue _queued = new();
    private Queue _taken = new();
    private Task _committer = Task.CompletedTask;
    private bool _isClosing;

    private FasterDirtyRegionLog(LogLegs legs, SlotLayout layout, SlotHeader header)
    {
        _legs = legs;
        _layout = layout;
        _header = header;
        _ring = new RingDevice($"dirty-log-{header.Slot}", layout, legs, header.Incarnation);
        _commits = new CommitBlocks(legs, header.Incarnation, header.Generation);
        _log = new FasterLog(new FasterLogSettings
        {
            LogDevice = _ring,
            LogCommitManager = _commits,
            LogChecksum = LogChecksumType.PerEntry,
            PageSizeBits = 12,
            MemorySizeBits = 18,
            SegmentSizeBits = layout.SegmentBits,
            TryRecoverLatest = false, // Its recovery hides errors; ours is SlotRecovery.
            RemoveOutdatedCommits = false,
        });
        _writer = new EntryWriter(header.Incarnation, header.Generation);
        _sink = Enqueue;
    }

    /// <inheritdoc/>
    public DirtyLogFailure? Failure => _legs.Failure;

    /// <summary>Snapshots taken so far to make room.</summary>
    public int Compactions { get; private set; }

    /// <summary>Erases the slot and opens a new log in it. Only after what the slot held was merged, and with the list of
    /// disks committed (design §14.7, §14.17). Blocks for the format; the devices stay the caller's.</summary>
    /// <param name="set">Disk set id.</param>
    /// <param name="slot">This node's slot number.</param>
    /// <param name="configuration">The slot as committed.</param>
    /// <param name="layout">Of the disks; equal on both.</param>
    /// <param name="disks">Those that <paramref name="configuration"/> names, one or two.</param>
    /// <returns>The log, or why it could not be opened.</returns>
    public static async Task<(FasterDirtyRegionLog? Log, DirtyLogFailure? Failure)> OpenAsync(
        Guid set, int slot, SlotConfiguration configuration, DiskLayout layout, IReadOnlyList<IBlockDevice> disks)
    {
        ArgumentNullException.ThrowIfNull(configuration);
        ArgumentNullException.ThrowIfNull(layout);
        ArgumentNullException.ThrowIfNull(disks);
        var slotLayout = SlotLayout.For(layout.SlotBytes);
        var header = new SlotHeader(
            SlotPhase.Formatting, set, slot, configuration.Incarnation, configuration.Generation, slotLayout.SegmentBits, slotLayout.SegmentCount);
        var legs = new LogLegs(disks, layout.SlotOffset(slot));
        if (!await Task.Run(() => Format(legs, slotLayout, header)))
        {
            using (legs) return (null, legs.Failure);
        }

        var log = new FasterDirtyRegionLog(legs, slotLayout, header);
        if (await log.StartAsync()) return (log, null);
        var failure = log.Failure;
        await log.DisposeAsync();
        return (null, failure);
    }

    /// <inheritdoc/>
    public ValueTask<bool> AppendAsync(ReadOnlyMemory<RegionUpdate> updates)
    {
        TaskCompletionSource<bool> answer = new(TaskCreationOptions.RunContinuationsAsynchronously);
        lock (_gate)
        {
            if (_isClosing || Failure is not null) return new ValueTask<bool>(false);
            _queued.Updates.AddRange(updates.Span);
            _queued.Answers.Add(answer);
            if (_queued.Answers.Count == 1) _work.Release();
        }

        return new ValueTask<bool>(answer.Task);
    }

    /// <summary>Waits for what was queued, marks the slot as closed in order, and gives up the disks.</summary>
    public async ValueTask DisposeAsync()
    {
        lock (_gate)
        {
            if (_isClosing) return;
            _isClosing = true;
            _work.Release();
        }

        await _committer;
        await Task.Run(() =>
        {
            _log.Dispose();
            _ring.Dispose();
            if (Failure is null) WriteHeader(_legs, _header with { Phase = SlotPhase.Closed });
        });
        _commits.Dispose();
        _legs.Dispose();
        _work.Dispose();
    }

    private static bool Format(LogLegs legs, SlotLayout layout, SlotHeader header)
    {
        // The old header goes first: from then on nobody takes old content for a log.
        return legs.Do(leg =>
            {
                var status = leg.Zero(0, SlotLayout.BlockBytes);
                return status == DeviceStatus.Ok ? leg.Flush() : status;
            })
            && legs.Do(leg =>
            {
                var status = leg.Zero(SlotLayout.BlockBytes, layout.UsedBytes - SlotLayout.BlockBytes);
                return status == DeviceStatus.Ok ? leg.Flush() : status;
            })
            && WriteHeader(legs, header);
    }

    private static bool WriteHeader(LogLegs legs, SlotHeader header)
    {
        using var block = AlignedBufferPool.Shared.Rent(SlotLayout.BlockBytes);
        header.Write(block.GetSpan());
        return legs.Do(leg => leg.WriteThrough(0, block));
    }

    // An empty snapshot, in both commit blocks, before the header says that the log is open: from then on a missing
    // commit record is a loss.
    private async Task<bool> StartAsync()
    {
        for (var i = 0; i < 2; i++)
        {
            _writer.Snapshot(_sink);
            if (!await CommitAsync()) return false;
        }

        if (!await Task.Run(() => WriteHeader(_legs, _header with { Phase = SlotPhase.Open }))) return false;
        _committer = Task.Run(RunAsync);
        return true;
    }

    private async Task RunAsync()
    {
        while (true)
        {
            await _work.WaitAsync();
            bool isLast;
            lock (_gate)
            {
                (_queued, _taken) = (_taken, _queued);
                isLast = _isClosing;
            }

            var isDurable = await AppendTakenAsync();
            foreach (var answer in _taken.Answers) answer.SetResult(isDurable);
            _taken.Updates.Clear();
            _taken.Answers.Clear();
            if (isLast) return;
        }
    }

#pragma warning disable CA1031 // Whatever is thrown, the callers must hear that nothing is sure any more.
    private async Task<bool> AppendTakenAsync()
    {
        try
        {
            // In parts, so that each can be compacted before the next: a part is far below the ring's reserve.
            const int part = 128;
            var at = 0;
            while (at < _taken.Updates.Count)
            {
                if (!await MakeRoomAsync()) return false;
                at = AppendPart(at, part);
            }

            return await CommitAsync();
        }
        catch (Exception e)
        {
            _legs.Fail($"the dirty log failed: {e.Message}", null);
            return false;
        }
    }
#pragma warning restore CA1031

    // A run is not cut: the whole of a volume is one entry.
    private int AppendPart(int start, int part)
    {
        var updates = System.Runtime.InteropServices.CollectionsMarshal.AsSpan(_taken.Updates);
        var end = Math.Min(start + part, updates.Length);
        while (end < updates.Length && updates[end] == updates[end - 1] with { Region = updates[end - 1].Region + 1 }) end++;
        _writer.Append(updates[start..end], _sink);
        return end;
    }

    private async Task<bool> MakeRoomAsync()
    {
        var begin = _log.BeginAddress;
        if (_log.TailAddress - begin <= (_layout.SegmentCount - 2) * _layout.SegmentBytes * 6 / 10) return true;

        // The snapshot is durable before anything that it replaces goes; the room is free with the second commit.
        var start = _log.TailAddress;
        _writer.Snapshot(_sink);
        if (!await CommitAsync()) return false;
        _log.TruncateUntilPageStart(start);
        Compactions++;
        if (!await CommitAsync(mustAdvance: true)) return false;
        _ring.Release(_log.CommittedBeginAddress);
        return true;
    }

    private async Task<bool> CommitAsync(bool mustAdvance = false)
    {
        // Two attempts: a commit that began before the last entry may end without covering it.
        for (var i = 0; i < 2; i++)
        {
            if (!mustAdvance && _commits.DurableSequence >= _writer.LastSequence) return Failure is null;
            if (Failure is not null) return false;
            var commit = _log.CommitAsync().AsTask();
            if (await Task.WhenAny(commit, _legs.Failed) != commit)
            {
                _ = commit.ContinueWith(static t => t.Exception, TaskScheduler.Default); // Observed; the failure is known.
                return false;
            }

            await commit;
            mustAdvance = false;
        }

        if (_commits.DurableSequence < _writer.LastSequence) _legs.Fail("a commit of the dirty log did not cover its entries", null);
        return Failure is null;
    }

    private void Enqueue(ReadOnlySpan<byte> entry) => _commits.Enqueued(_log.Enqueue(entry), _writer.LastSequence);

    private sealed class Queue
    {
        public List<RegionUpdate> Updates { get; } = [];

        public List<TaskCompletionSource<bool>> Answers { get; } = [];
    }
}
