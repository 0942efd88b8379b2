using System.Numerics;
using RaftMirror.Primitives;

namespace RaftMirror.DataPlane.DirtyRegions.Core;

/// <summary>A set of region numbers of one volume: bits in blocks that exist where a bit is set. A core: one owner, one thread.</summary>
public sealed class RegionBitmap
{
    /// <summary>Region numbers are below this: 2^40 regions of 4 KiB are 4 PiB.</summary>
    public const long MaxRegions = 1L << 40;

    private const int WordsPerBlock = DirtyLogEntry.MaxWords;
    private const long RegionsPerBlock = WordsPerBlock * 64L;
    private readonly SortedDictionary<long, ulong[]> _blocks = [];

    /// <summary>Number of regions in the set.</summary>
    public long Count { get; private set; }

    /// <summary>True if the region is in the set.</summary>
    public bool Contains(long region) =>
        _blocks.TryGetValue(region / RegionsPerBlock, out var words)
        && (words[region % RegionsPerBlock / 64] >> (int)(region % 64) & 1) != 0;

    /// <summary>Adds or removes a run of regions.</summary>
    public void Set(long first, long count, bool isSet)
    {
        Invariant.Require(first >= 0 && count >= 0 && first <= MaxRegions - count, "Region numbers were checked.");
        while (count > 0)
        {
            var inWord = (int)(first % 64);
            var length = (int)Math.Min(count, 64 - inWord);
            SetWord(first - inWord, (length == 64 ? ulong.MaxValue : (1UL << length) - 1) << inWord, isSet);
            first += length;
            count -= length;
        }
    }

    /// <summary>Adds or removes those of 64 regions whose bit is set.</summary>
    /// <param name="first">A multiple of 64.</param>
    /// <param name="bits">Lowest bit first.</param>
    /// <param name="isSet">Add, else remove.</param>
    public void SetWord(long first, ulong bits, bool isSet)
    {
        if (bits == 0) return;
        var key = first / RegionsPerBlock;
        if (!_blocks.TryGetValue(key, out var words))
        {
            if (!isSet) return;
            _blocks.Add(key, words = new ulong[WordsPerBlock]);
        }

        ref var word = ref words[first % RegionsPerBlock / 64];
        var before = BitOperations.PopCount(word);
        word = isSet ? word | bits : word & ~bits;
        Count += BitOperations.PopCount(word) - before;
        if (word == 0 && !isSet && words.AsSpan().IndexOfAnyExcept(0UL) < 0) _blocks.Remove(key);
    }

    /// <summary>Runs of neighbouring regions, in ascending order.</summary>
    public IEnumerable<ByteRange> Runs()
    {
        long start = -1, end = -1;
        foreach (var (key, words) in _blocks)
        {
            for (var i = 0; i < words.Length; i++)
            {
                var word = words[i];
                var origin = (key * RegionsPerBlock) + (i * 64L);
                var at = 0;
                while (at < 64 && word >> at != 0)
                {
                    at += BitOperations.TrailingZeroCount(word >> at);
                    var length = Math.Min(BitOperations.TrailingZeroCount(~(word >> at)), 64 - at);
                    if (end == origin + at)
                    {
                        end += length;
                    }
                    else
                    {
                        if (start >= 0) yield return new ByteRange(start, end - start);
                        start = origin + at;
                        end = start + length;
                    }

                    at += length;
                }
            }
        }

        if (start >= 0) yield return new ByteRange(start, end - start);
    }

    /// <summary>Blocks with a bit set: first region and words, lowest first. The words are the set's own.</summary>
    public IEnumerable<(long FirstRegion, ulong[] Words)> Blocks()
    {
        foreach (var (key, words) in _blocks) yield return (key * RegionsPerBlock, words);
    }

    /// <summary>Region numbers in ascending order; a new list.</summary>
    public List<long> ToList()
    {
        var regions = new List<long>();
        foreach (var run in Runs())
        {
            for (var region = run.Start; region < run.End; region++) regions.Add(region);
        }

        return regions;
    }
}
