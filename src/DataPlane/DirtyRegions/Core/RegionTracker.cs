using RaftMirror.Primitives;

namespace RaftMirror.DataPlane.DirtyRegions.Core;

/// <summary>Where a region stands in this node's dirty log.</summary>
public enum RegionState
{
    /// <summary>No mark, or its clear has been handed out: a write must mark it (again) first.</summary>
    Clean,

    /// <summary>A write waits for the mark to be durable.</summary>
    Marking,

    /// <summary>The mark is durable: writes may be submitted.</summary>
    Dirty,

    /// <summary>Was idle at one cleaning pass; cleared if it still is at the next. The mark is durable.</summary>
    GoingClean,

    /// <summary>Was idle at two passes; its clear waits for a flush of the legs. The mark is durable.</summary>
    AwaitingFlush,
}

/// <summary>Which idle regions a cleaning pass takes.</summary>
public enum CleaningKind
{
    /// <summary>Those that were idle at the pass before as well (every 10 s), so that a busy region keeps its mark.</summary>
    Lazy,

    /// <summary>All that are idle now: at a clean shutdown or hand-over.</summary>
    Final,
}

/// <summary>The dirty regions of one volume on one node: decides when a write must wait for a mark and when a mark may
/// clear (invariants I-LOG and I-CLEAN). A core: one owning thread, no clock.
/// <para>The shell's part:</para>
/// <list type="number">
/// <item><see cref="BeginWrite"/>; if it is false the write waits until <see cref="MaySubmit"/> is true.</item>
/// <item>Whenever <see cref="HasUpdates"/>: <see cref="TakeUpdates"/>, append that batch to the log (batches in the order
/// they were taken, none overtaking another), then <see cref="UpdatesDurable"/> if the append succeeded. If it failed, the log
/// is lost for good: stop writing.</item>
/// <item><see cref="EndWrite"/> once <em>every</em> writable leg has ended, resync targets included (design §14.8).</item>
/// <item>Every 10 s <see cref="BeginCleaning"/>; if it is true, flush all legs and then call <see cref="LegsFlushed"/> or
/// <see cref="LegsNotFlushed"/>.</item>
/// </list></summary>
public sealed class RegionTracker
{
    private readonly Dictionary<long, Region> _regions = [];
    private readonly List<RegionUpdate> _updates = [];
    private readonly Queue<(ulong Batch, long Region)> _marking = new();
    private readonly List<long> _awaitingFlush = [];
    private ulong _nextBatch = 1;
    private ulong _durableBatch;
    private bool _isCleaning;

    /// <summary>All regions are clean.</summary>
    /// <param name="volume">The volume's number in its set.</param>
    /// <param name="sizeBytes">The volume's size, positive.</param>
    /// <param name="regionBytes">Region size, a power of two.</param>
    public RegionTracker(uint volume, long sizeBytes, int regionBytes)
    {
        Invariant.Require(sizeBytes > 0, "A volume has a size.");
        Invariant.Require(regionBytes > 0 && int.IsPow2(regionBytes), "Regions are a power of two.");
        Volume = volume;
        SizeBytes = sizeBytes;
        RegionBytes = regionBytes;
        RegionCount = ((sizeBytes - 1) / regionBytes) + 1;
    }

    /// <summary>The volume's number in its set.</summary>
    public uint Volume { get; }

    /// <summary>The volume's size.</summary>
    public long SizeBytes { get; private set; }

    /// <summary>Region size in bytes; the last region may be shorter.</summary>
    public int RegionBytes { get; }

    /// <summary>Number of regions.</summary>
    public long RegionCount { get; private set; }

    /// <summary>Regions with a mark, durable or on its way.</summary>
    public int MarkedCount => _regions.Count;

    /// <summary>Regions that are owed a resync; a part of <see cref="MarkedCount"/>.</summary>
    public int OwedCount { get; private set; }

    /// <summary>True if <see cref="TakeUpdates"/> has something to give.</summary>
    public bool HasUpdates => _updates.Count > 0;

    /// <summary>Counts a write in.</summary>
    /// <param name="write">Bytes of the volume, not empty.</param>
    /// <returns>False if the write waits for <see cref="UpdatesDurable"/> (then ask <see cref="MaySubmit"/>): were it submitted
    /// first, a crash would hide it from resync.</returns>
    public bool BeginWrite(ByteRange write)
    {
        var (first, last) = RegionsOf(write);
        var maySubmit = true;
        for (var number = first; number <= last; number++)
        {
            var region = _regions.GetValueOrDefault(number);
            region.WritersInFlight++; // Only a region with no writer may go clean.
            if (region.State == RegionState.Clean) StartMarking(number, ref region);
            else if (region.State is RegionState.GoingClean or RegionState.AwaitingFlush) region.State = RegionState.Dirty;
            maySubmit &= region.State == RegionState.Dirty;
            _regions[number] = region;
        }

        return maySubmit;
    }

    /// <summary>True if every region of a write that was counted in has a durable mark.</summary>
    public bool MaySubmit(ByteRange write)
    {
        var (first, last) = RegionsOf(write);
        for (var number = first; number <= last; number++)
        {
            var region = _regions.GetValueOrDefault(number);
            Invariant.Require(region.WritersInFlight > 0, "Only a write that was counted in is submitted.");
            if (region.State == RegionState.Marking) return false;
        }

        return true;
    }

    /// <summary>Counts a write out, after its last leg has ended (or when it was given up before any leg got it).</summary>
    /// <param name="write">The same range as at <see cref="BeginWrite"/>.</param>
    /// <param name="mayLegsDiffer">True if a writable leg may not have the data: the regions are owed from now on.</param>
    public void EndWrite(ByteRange write, bool mayLegsDiffer = false)
    {
        var (first, last) = RegionsOf(write);
        for (var number = first; number <= last; number++)
        {
            var region = _regions.GetValueOrDefault(number);
            Invariant.Require(region.WritersInFlight > 0, "A write ends once.");
            region.WritersInFlight--;
            if (mayLegsDiffer) SetOwed(ref region);
            _regions[number] = region;
        }
    }

    /// <summary>Regions that a resync owes to the legs: taken over from another node's log, or written while a leg was away.
    /// They are marked in this node's log too and keep the mark until <see cref="RemoveOwed"/>; the
    /// taking over is safe only once <see cref="AreMarksDurable"/> (design §14.7).</summary>
    /// <param name="firstRegion">Region number.</param>
    /// <param name="count">Regions, at least one, none past the end.</param>
    public void AddOwed(long firstRegion, long count)
    {
        RequireRegions(firstRegion, count);
        for (var number = firstRegion; number < firstRegion + count; number++)
        {
            var region = _regions.GetValueOrDefault(number);
            if (region.State == RegionState.Clean) StartMarking(number, ref region);
            SetOwed(ref region);
            _regions[number] = region;
        }
    }

    /// <summary>The legs are equal in these regions again, and flushed. Cleaning clears their marks later.</summary>
    /// <param name="firstRegion">Region number.</param>
    /// <param name="count">Regions, at least one, none past the end.</param>
    public void RemoveOwed(long firstRegion, long count)
    {
        RequireRegions(firstRegion, count);
        for (var number = firstRegion; number < firstRegion + count; number++)
        {
            if (!_regions.TryGetValue(number, out var region) || !region.IsOwed) continue;
            region.IsOwed = false;
            OwedCount--;
            _regions[number] = region;
        }
    }

    /// <summary>True if no region waits for its mark to become durable.</summary>
    public bool AreMarksDurable => _marking.Count == 0;

    /// <summary>Hands out the marks and clears that are due, in log order.</summary>
    /// <param name="into">They are added at its end.</param>
    /// <returns>The batch, for <see cref="UpdatesDurable"/>; grows by one with each call.</returns>
    public ulong TakeUpdates(List<RegionUpdate> into)
    {
        ArgumentNullException.ThrowIfNull(into);
        into.AddRange(_updates);
        _updates.Clear();
        return _nextBatch++;
    }

    /// <summary>A batch, and all before it, are durable on every log disk in use. Writes that wait may now be
    /// <see cref="MaySubmit"/>.</summary>
    public void UpdatesDurable(ulong batch)
    {
        Invariant.Require(batch < _nextBatch, "Only a batch that was taken becomes durable.");
        Invariant.Require(batch > _durableBatch, "Batches become durable in the order they were taken.");
        _durableBatch = batch;
        while (_marking.TryPeek(out var oldest) && oldest.Batch <= batch)
        {
            _marking.Dequeue();
            var region = _regions[oldest.Region];
            Invariant.Require(region.State == RegionState.Marking, "A region has one mark under way.");
            region.State = RegionState.Dirty;
            _regions[oldest.Region] = region;
        }
    }

    /// <summary>One pass of lazy cleaning.</summary>
    /// <param name="kind">Which regions to take.</param>
    /// <param name="isAllowed">False while a mark must stay even where nothing is in flight: a leg is away, fewer than two legs, no
    /// lease. Regions on their way to clean go back to dirty.</param>
    /// <returns>True if the legs (on every node that executed I/O for this volume) must now be flushed, and
    /// <see cref="LegsFlushed"/> or <see cref="LegsNotFlushed"/> be called before the next pass.</returns>
    public bool BeginCleaning(CleaningKind kind, bool isAllowed = true)
    {
        Invariant.Require(!_isCleaning, "One cleaning pass at a time.");
        var candidates = new List<long>(_regions.Keys);
        candidates.Sort();
        foreach (var number in candidates)
        {
            var region = _regions[number];
            if (region.State == RegionState.Marking) continue;
            if (!isAllowed || region.IsOwed || region.WritersInFlight > 0)
            {
                region.State = RegionState.Dirty;
            }
            else if (region.State == RegionState.GoingClean || kind == CleaningKind.Final)
            {
                region.State = RegionState.AwaitingFlush;
                _awaitingFlush.Add(number);
            }
            else
            {
                region.State = RegionState.GoingClean;
            }

            _regions[number] = region;
        }

        _isCleaning = _awaitingFlush.Count > 0;
        return _isCleaning;
    }

    /// <summary>All legs were flushed, by a flush that began after <see cref="BeginCleaning"/>. Regions that stayed idle
    /// clear: their updates can be taken, and a write to them marks anew from now on.</summary>
    public void LegsFlushed()
    {
        Invariant.Require(_isCleaning, "A flush answers a cleaning pass.");
        _isCleaning = false;
        foreach (var number in _awaitingFlush)
        {
            var region = _regions[number];
            // A write or a debt that came during the flush keeps the mark: the flush does not cover it.
            if (region.State != RegionState.AwaitingFlush || region.IsOwed) continue;
            Invariant.Require(region.WritersInFlight == 0, "A writer takes a region out of cleaning.");
            _regions.Remove(number);
            _updates.Add(new RegionUpdate(Volume, number, IsDirty: false));
        }

        _awaitingFlush.Clear();
    }

    /// <summary>A leg could not be flushed, or the shell gave up: the marks stay.</summary>
    public void LegsNotFlushed()
    {
        Invariant.Require(_isCleaning, "A flush answers a cleaning pass.");
        _isCleaning = false;
        foreach (var number in _awaitingFlush)
        {
            var region = _regions[number];
            if (region.State == RegionState.AwaitingFlush) region.State = RegionState.Dirty;
            _regions[number] = region;
        }

        _awaitingFlush.Clear();
    }

    /// <summary>The volume grew; regions keep their numbers.</summary>
    public void Grow(long sizeBytes)
    {
        Invariant.Require(sizeBytes >= SizeBytes, "A volume never shrinks.");
        SizeBytes = sizeBytes;
        RegionCount = ((sizeBytes - 1) / RegionBytes) + 1;
    }

    /// <summary>State of a region.</summary>
    public RegionState StateOf(long region) => _regions.GetValueOrDefault(region).State;

    /// <summary>True if the region is owed a resync.</summary>
    public bool IsOwed(long region) => _regions.GetValueOrDefault(region).IsOwed;

    /// <summary>Writes counted in and not out.</summary>
    public int WritersInFlight(long region) => _regions.GetValueOrDefault(region).WritersInFlight;

    /// <summary>Marked regions in ascending order; a new list.</summary>
    public IReadOnlyList<long> MarkedRegions()
    {
        var marked = new List<long>(_regions.Keys);
        marked.Sort();
        return marked;
    }

    private void StartMarking(long number, ref Region region)
    {
        region.State = RegionState.Marking;
        _marking.Enqueue((_nextBatch, number));
        _updates.Add(new RegionUpdate(Volume, number, IsDirty: true));
    }

    private void SetOwed(ref Region region)
    {
        if (region.IsOwed) return;
        region.IsOwed = true;
        OwedCount++;
        if (region.State is RegionState.GoingClean or RegionState.AwaitingFlush) region.State = RegionState.Dirty;
    }

    private (long First, long Last) RegionsOf(ByteRange range)
    {
        Invariant.Require(range.Length > 0 && range.Start >= 0, "A write has bytes.");
        Invariant.Require(range.End <= SizeBytes, "NBD refuses writes past the end.");
        return (range.Start / RegionBytes, (range.End - 1) / RegionBytes);
    }

    private void RequireRegions(long firstRegion, long count) =>
        Invariant.Require(
            firstRegion >= 0 && count > 0 && firstRegion <= RegionCount - count, "Regions lie inside the volume.");

    // One entry per region that is not clean.
    private struct Region
    {
        public RegionState State;
        public int WritersInFlight;
        public bool IsOwed;
    }
}
