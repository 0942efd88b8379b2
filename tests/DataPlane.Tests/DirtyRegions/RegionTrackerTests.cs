using RaftMirror.DataPlane.DirtyRegions.Core;
using RaftMirror.Primitives;
using Xunit;

namespace RaftMirror.DataPlane.Tests.DirtyRegions;

public sealed class RegionTrackerTests
{
    private const int Region = 4096;
    private readonly RegionTracker _tracker = new(9, 100 * Region, Region);
    private readonly List<RegionUpdate> _log = [];

    private void MakeDurable()
    {
        if (_tracker.HasUpdates) _tracker.UpdatesDurable(_tracker.TakeUpdates(_log));
    }

    [Fact] // I-LOG.
    public void BeginWrite_CleanRegion_WaitsForItsMark()
    {
        var write = new ByteRange(Region - 512, 1024);
        Assert.False(_tracker.BeginWrite(write));
        var batch = _tracker.TakeUpdates(_log);
        Assert.Equal([new RegionUpdate(9, 0, true), new RegionUpdate(9, 1, true)], _log);
        Assert.False(_tracker.MaySubmit(write));
        _tracker.UpdatesDurable(batch);
        Assert.True(_tracker.MaySubmit(write));
        Assert.True(_tracker.BeginWrite(write));
    }

    [Fact]
    public void BeginCleaning_IdleForTwoPasses_ClearsAfterTheFlush()
    {
        var write = new ByteRange(0, 512);
        _tracker.BeginWrite(write);
        MakeDurable();
        _tracker.EndWrite(write);
        Assert.False(_tracker.BeginCleaning(CleaningKind.Lazy));
        Assert.True(_tracker.BeginCleaning(CleaningKind.Lazy));
        Assert.False(_tracker.HasUpdates);
        _tracker.LegsFlushed();
        MakeDurable();
        Assert.Equal(new RegionUpdate(9, 0, false), _log[^1]);
        Assert.Equal(0, _tracker.MarkedCount);
    }

    [Fact]
    public void LegsFlushed_WriteCameAndWentDuringTheFlush_KeepsTheMark()
    {
        var write = new ByteRange(0, 512);
        _tracker.BeginWrite(write);
        MakeDurable();
        _tracker.EndWrite(write);
        Assert.True(_tracker.BeginCleaning(CleaningKind.Final));
        Assert.True(_tracker.BeginWrite(write));
        _tracker.EndWrite(write);
        _tracker.LegsFlushed();
        Assert.False(_tracker.HasUpdates);
        Assert.Equal(RegionState.Dirty, _tracker.StateOf(0));
    }

    [Fact]
    public void BeginCleaning_OwedRegion_KeepsItsMarkUntilTheDebtIsPaid()
    {
        _tracker.AddOwed(3, 2);
        Assert.False(_tracker.AreMarksDurable);
        MakeDurable();
        Assert.False(_tracker.BeginCleaning(CleaningKind.Final));
        _tracker.RemoveOwed(3, 2);
        Assert.True(_tracker.BeginCleaning(CleaningKind.Final));
        _tracker.LegsFlushed();
        MakeDurable();
        Assert.Equal(0, _tracker.MarkedCount);
    }

    [Fact] // I-LOG and I-CLEAN against a model, over many random histories.
    public void RandomHistories_MarksInTheLog_CoverEveryWriteThatIsNotFlushed()
    {
        for (ulong seed = 0; seed < 300; seed++) RunHistory(new Xoshiro(seed), seed);
    }

    private static void RunHistory(Xoshiro random, ulong seed)
    {
        const int regions = 12;
        var tracker = new RegionTracker(1, regions * Region, Region);
        var inFlight = new List<(ByteRange Write, bool IsSubmitted)>();
        var batches = new Queue<(ulong Batch, List<RegionUpdate> Updates)>();
        var durable = new HashSet<long>(); // What a reader of the log finds now, at the worst.
        var unflushed = new HashSet<long>(); // Regions where legs may differ after a crash.
        var flushing = new HashSet<long>();
        var owed = new HashSet<long>();
        var isFlushing = false;
        for (var step = 0; step < 400; step++)
        {
            switch (random.Next(8))
            {
                case 0 or 1:
                    var start = random.NextInt64((regions * Region) - 1);
                    var write = new ByteRange(start, Math.Min(random.Next(1, 3 * Region), (regions * Region) - start));
                    inFlight.Add((write, tracker.BeginWrite(write)));
                    break;
                case 2 when inFlight.Count > 0:
                    var ended = inFlight[random.Next(inFlight.Count)];
                    if (!ended.IsSubmitted) break;
                    inFlight.Remove(ended);
                    var differ = random.Chance(0.1);
                    tracker.EndWrite(ended.Write, differ);
                    if (differ) owed.UnionWith(RegionsOf(ended.Write));
                    break;
                case 3 when tracker.HasUpdates:
                    var updates = new List<RegionUpdate>();
                    batches.Enqueue((tracker.TakeUpdates(updates), updates));
                    foreach (var clear in updates.Where(u => !u.IsDirty)) durable.Remove(clear.Region); // It may land at any moment.
                    break;
                case 4 when batches.Count > 0:
                    var (batch, landed) = batches.Dequeue();
                    foreach (var update in landed)
                    {
                        if (update.IsDirty) durable.Add(update.Region);
                        else durable.Remove(update.Region);
                    }

                    foreach (var later in batches.SelectMany(b => b.Updates).Where(u => !u.IsDirty)) durable.Remove(later.Region);
                    tracker.UpdatesDurable(batch);
                    break;
                case 5 when !isFlushing:
                    isFlushing = tracker.BeginCleaning(random.Chance(0.3) ? CleaningKind.Final : CleaningKind.Lazy);
                    flushing = [.. unflushed.Except(inFlight.Where(w => w.IsSubmitted).SelectMany(w => RegionsOf(w.Write)))];
                    break;
                case 6 when isFlushing:
                    isFlushing = false;
                    if (random.Chance(0.2))
                    {
                        tracker.LegsNotFlushed();
                        break;
                    }

                    unflushed.ExceptWith(flushing);
                    tracker.LegsFlushed();
                    break;
                case 7 when random.Chance(0.3):
                    foreach (var region in owed.ToArray())
                    {
                        tracker.RemoveOwed(region, 1);
                        owed.Remove(region);
                    }

                    break;
            }

            for (var i = 0; i < inFlight.Count; i++)
            {
                if (!inFlight[i].IsSubmitted && tracker.MaySubmit(inFlight[i].Write)) inFlight[i] = (inFlight[i].Write, true);
                if (!inFlight[i].IsSubmitted) continue;
                unflushed.UnionWith(RegionsOf(inFlight[i].Write));
                flushing.ExceptWith(RegionsOf(inFlight[i].Write)); // That flush does not cover it.
            }

            Assert.True(durable.IsSupersetOf(unflushed), $"seed {seed}, step {step}: a write is not covered by a mark");
            Assert.True(durable.Count == 0 || owed.All(durable.Contains), $"seed {seed}, step {step}: an owed region lost its mark");
        }
    }

    private static IEnumerable<long> RegionsOf(ByteRange write)
    {
        for (var region = write.Start / Region; region <= (write.End - 1) / Region; region++) yield return region;
    }
}
