using Xunit;

namespace RaftMirror.Primitives.Tests;

/// <summary>Ranges of bytes: what overlaps waits, what is contained is covered.</summary>
public sealed class ByteRangeTests
{
    [Theory]
    [InlineData(0, 10, 9, 1, true, true)]
    [InlineData(0, 10, 10, 1, false, false)] // They touch.
    [InlineData(5, 5, 0, 5, false, false)]
    [InlineData(0, 10, 5, 10, true, false)]
    [InlineData(0, 10, 0, 10, true, true)]
    [InlineData(0, 10, 3, 0, false, true)] // An empty one overlaps nothing.
    public void OverlapsAndContains_OfTwoRanges(long start, long length, long otherStart, long otherLength, bool overlaps, bool contains)
    {
        var (range, other) = (new ByteRange(start, length), new ByteRange(otherStart, otherLength));
        Assert.Equal(overlaps, range.Overlaps(other));
        Assert.Equal(overlaps, other.Overlaps(range));
        Assert.Equal(contains, range.Contains(other));
    }
}
