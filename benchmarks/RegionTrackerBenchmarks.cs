using BenchmarkDotNet.Attributes;
using RaftMirror.DataPlane.DirtyRegions.Core;
using RaftMirror.Primitives;

namespace RaftMirror.Benchmarks;

/// <summary>What the dirty-region log costs a write that finds its region dirty already: the usual one.</summary>
[MemoryDiagnoser]
public class RegionTrackerBenchmarks
{
    private const long VolumeBytes = 64L << 30;
    private readonly RegionTracker _tracker = new(1, VolumeBytes, 1 << 20);
    private readonly List<RegionUpdate> _updates = [];
    private long _offset;

    /// <summary>Regions that are in use at the same time.</summary>
    [Params(16, 16384)]
    public int HotRegions { get; set; }

    [GlobalSetup]
    public void Setup()
    {
        for (var region = 0L; region < HotRegions; region++) _tracker.BeginWrite(new ByteRange(region << 20, 4096));
        _tracker.UpdatesDurable(_tracker.TakeUpdates(_updates));
        for (var region = 0L; region < HotRegions; region++) _tracker.EndWrite(new ByteRange(region << 20, 4096));
    }

    [Benchmark]
    public bool WriteInDirtyRegion()
    {
        _offset = (_offset + 1) % HotRegions;
        var write = new ByteRange(_offset << 20, 4096);
        var maySubmit = _tracker.BeginWrite(write);
        _tracker.EndWrite(write);
        return maySubmit;
    }
}
