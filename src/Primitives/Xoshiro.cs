using System.Numerics;

namespace RaftMirror.Primitives;

/// <summary>A small seeded generator (xoshiro256**, Blackman and Vigna 2018). The algorithm behind
/// <see cref="System.Random"/> is no contract, and a simulator's seed must mean the same for ever.
/// Not for secrets. One owner, one thread.</summary>
public sealed class Xoshiro
{
    private ulong _s0;
    private ulong _s1;
    private ulong _s2;
    private ulong _s3;

    /// <summary>The same seed gives the same sequence.</summary>
    public Xoshiro(ulong seed)
    {
        // SplitMix64 spreads the seed over the state, as the authors advise; a state of zeros is impossible.
        _s0 = SplitMix(ref seed);
        _s1 = SplitMix(ref seed);
        _s2 = SplitMix(ref seed);
        _s3 = SplitMix(ref seed);
    }

    /// <summary>The next 64 bits.</summary>
    public ulong NextUInt64()
    {
        var result = BitOperations.RotateLeft(_s1 * 5, 7) * 9;
        var t = _s1 << 17;
        _s2 ^= _s0;
        _s3 ^= _s1;
        _s1 ^= _s2;
        _s0 ^= _s3;
        _s2 ^= t;
        _s3 = BitOperations.RotateLeft(_s3, 45);
        return result;
    }

    /// <summary>A number in [0, <paramref name="exclusiveMax"/>); the maximum must be positive.</summary>
    public int Next(int exclusiveMax) => (int)NextInt64(exclusiveMax);

    /// <summary>A number in [<paramref name="min"/>, <paramref name="exclusiveMax"/>).</summary>
    public int Next(int min, int exclusiveMax) => min + Next(exclusiveMax - min);

    /// <summary>A number in [0, <paramref name="exclusiveMax"/>); the maximum must be positive.</summary>
    public long NextInt64(long exclusiveMax)
    {
        Invariant.Require(exclusiveMax > 0, "An empty range has no number.");
        return (long)Math.BigMul(NextUInt64(), (ulong)exclusiveMax, out _);
    }

    /// <summary>A number in [0, 1).</summary>
    public double NextDouble() => (NextUInt64() >> 11) * (1.0 / (1UL << 53));

    /// <summary>True with the given probability, 0 to 1.</summary>
    public bool Chance(double probability) => NextDouble() < probability;

    /// <summary>A generator of its own, so that one consumer's draws do not shift another's.</summary>
    public Xoshiro Fork() => new(NextUInt64());

    private static ulong SplitMix(ref ulong state)
    {
        var z = state += 0x9E3779B97F4A7C15;
        z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9;
        z = (z ^ (z >> 27)) * 0x94D049BB133111EB;
        return z ^ (z >> 31);
    }
}
