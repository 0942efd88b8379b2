namespace RaftMirror.Primitives;

/// <summary>Bytes [<see cref="Start"/>, <see cref="End"/>) of a disk or volume.</summary>
/// <param name="Start">First byte, not negative.</param>
/// <param name="Length">Bytes, not negative.</param>
public readonly record struct ByteRange(long Start, long Length)
{
    /// <summary>The first byte after the range.</summary>
    public long End => Start + Length;

    /// <summary>True if the ranges share a byte; an empty range overlaps nothing.</summary>
    public bool Overlaps(ByteRange other) => Start < other.End && other.Start < End && Length > 0 && other.Length > 0;

    /// <summary>True if every byte of <paramref name="other"/> lies in this range.</summary>
    public bool Contains(ByteRange other) => other.Start >= Start && other.End <= End;

    /// <inheritdoc/>
    public override string ToString() => $"[{Start}, {End})";
}
