using RaftMirror.DataPlane.Resync.Core;
using RaftMirror.Primitives;
using Xunit;

namespace RaftMirror.DataPlane.Tests.Resync;

public sealed class ByteRangeSetTests
{
    [Theory]
    [InlineData(1UL)]
    [InlineData(2UL)]
    [InlineData(3UL)]
    public void AddRemove_Random_EqualsBitmap(ulong seed)
    {
        const int size = 200;
        var random = new Xoshiro(seed);
        var set = new ByteRangeSet();
        var bits = new bool[size];
        for (var step = 0; step < 2000; step++)
        {
            var start = random.Next(size);
            var range = new ByteRange(start, random.Next(size - start + 1));
            var isAdd = random.Chance(0.5);
            if (isAdd) set.Add(range);
            else set.Remove(range);
            for (var i = range.Start; i < range.End; i++) bits[i] = isAdd;

            var probe = new ByteRange(random.Next(size), 7);
            var first = Array.FindIndex(bits, (int)probe.Start, b => b);
            Assert.Equal(first >= 0 && first < Math.Min(size, probe.End), set.TryFirst(probe, out var part));
            if (first >= 0 && first < Math.Min(size, probe.End)) Assert.Equal(first, part.Start);
            Assert.Equal(bits.Count(b => b), set.TotalBytes);
            Assert.Equal(bits.Count(b => b), set.Ranges.Sum(r => r.Length));
            for (var i = 1; i < set.Ranges.Count; i++) Assert.True(set.Ranges[i].Start > set.Ranges[i - 1].End);
        }
    }
}
