namespace RaftMirror.DataPlane.Nbd.Server;

/// <summary>Bounds of when each byte of a stream reached this host's kernel, from samples of how many bytes had come by when. Pure. One
/// thread at a time.</summary>
/// <remarks>A sample taken between two instants says: bytes up to its position had come by the later one, all others came after
/// the earlier one. The kernel's own receive stamps cannot replace this: what is queued is merged and then bears the newest stamp, which
/// bounds the age of the older bytes from the wrong side (they are good as upper bounds: ADR 0019).</remarks>
internal sealed class ArrivalBounds
{
    private const int MaxSamples = 64;
    private readonly List<Sample> _samples = new(MaxSamples);

    /// <param name="startNs">Before the first byte.</param>
    public ArrivalBounds(long startNs) => _samples.Add(new Sample(startNs, startNs, 0));

    /// <summary>Bytes up to <paramref name="position"/>, and no others, had come at some instant of that time.</summary>
    /// <param name="beforeNs">Before the look.</param>
    /// <param name="afterNs">After it.</param>
    /// <param name="position">Counted from the start of the stream.</param>
    /// <param name="needed">Nobody asks for bytes before this position any more.</param>
    public void Add(long beforeNs, long afterNs, long position, long needed)
    {
        var last = _samples[^1];
        if (beforeNs < last.BeforeNs || position < last.Position) return; // Overtaken by another look.
        if (_samples.Count == MaxSamples) Thin();
        _samples.Add(new Sample(beforeNs, afterNs, position));
        var useless = 0;
        while (useless + 1 < _samples.Count && _samples[useless + 1].Position < needed) useless++;
        if (useless > 0) _samples.RemoveRange(0, useless);
    }

    /// <summary>The byte that ends at <paramref name="position"/> did not come before this.</summary>
    public long FromNs(long position)
    {
        var from = long.MinValue;
        foreach (var sample in _samples)
        {
            if (sample.Position < position) from = sample.BeforeNs;
        }

        return from == long.MinValue ? _samples[0].BeforeNs : from;
    }

    /// <summary>The byte that ends at <paramref name="position"/> had come by this; <paramref name="otherwise"/> if no sample says.</summary>
    public long ToNs(long position, long otherwise)
    {
        foreach (var sample in _samples)
        {
            if (sample.Position >= position) return Math.Min(sample.AfterNs, otherwise);
        }

        return otherwise;
    }

    /// <summary>Fewer samples only make bounds wider; the newest must stay.</summary>
    private void Thin()
    {
        var kept = 1;
        for (var i = 2; i < _samples.Count; i += 2) _samples[kept++] = _samples[i];
        if (_samples.Count % 2 == 0) _samples[kept++] = _samples[^1];
        _samples.RemoveRange(kept, _samples.Count - kept);
    }

    private readonly record struct Sample(long BeforeNs, long AfterNs, long Position);
}
