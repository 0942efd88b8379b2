using RaftMirror.Consensus.Model;
using RaftMirror.Primitives;

namespace RaftMirror.Consensus.Storage;

/// <summary>What a log is worth.</summary>
internal enum WalVerdict
{
    /// <summary>Opens with everything that was written.</summary>
    Intact,

    /// <summary>Opens; frames that never were durable would be cut: a normal crash.</summary>
    TornTail,

    /// <summary>Does not open: something that was durable is not what it was.</summary>
    Damaged,
}

/// <summary>One segment file.</summary>
/// <param name="Name">Of the file.</param>
/// <param name="LengthBytes">Of the file.</param>
/// <param name="Frames">Frames in it that are intact or behind the tail.</param>
/// <param name="IsObsolete">Before the start of the log: waits to be removed or recycled.</param>
internal sealed record WalSegmentReport(string Name, long LengthBytes, IReadOnlyList<WalFrameReport> Frames, bool IsObsolete);

/// <summary>All that can be known of a log from its files.</summary>
/// <param name="Verdict">What opening it would do.</param>
/// <param name="Damage">The exact place; null unless damaged.</param>
/// <param name="Cut">What would be cut off, as far as headers tell.</param>
/// <param name="Mark">Frame that the durable mark names; 0 if none.</param>
/// <param name="KnownDurable">Highest frame known to have been durable.</param>
/// <param name="LastFrame">The last frame of the intact prefix.</param>
/// <param name="Start">Where the log starts.</param>
/// <param name="Base">The entry before the first one, of the intact prefix.</param>
/// <param name="Last">Its last entry.</param>
/// <param name="HardState">Its hard state.</param>
/// <param name="Segments">In order of id.</param>
/// <param name="Spares">Files that wait to be segments again.</param>
/// <param name="Others">Files that are not the log's.</param>
internal sealed record WalReport(
    WalVerdict Verdict, WalDamage? Damage, IReadOnlyList<WalFrameReport> Cut, ulong Mark, ulong KnownDurable, ulong LastFrame,
    WalStart Start, EntryId Base, EntryId Last, HardState HardState, IReadOnlyList<WalSegmentReport> Segments,
    IReadOnlyList<string> Spares, IReadOnlyList<string> Others);

/// <summary>Looks at the log of a node that does not run. Never writes. Any thread.</summary>
internal static class WalInspector
{
    /// <summary>Reports every frame.</summary>
    /// <param name="directory">The log's directory; the caller holds the node's lock.</param>
    /// <exception cref="IOException">The directory cannot be listed or a file not be opened.</exception>
    public static WalReport Inspect(string directory) => Inspect(new DirectoryStorage(directory, isReadOnly: true));

    /// <summary>As above, of any storage.</summary>
    public static WalReport Inspect(IWalStorage storage) => Report(storage, withFrames: true);

    /// <summary>Only the verdict: the report lists no intact frames.</summary>
    public static WalReport Verify(string directory) => Verify(new DirectoryStorage(directory, isReadOnly: true));

    /// <summary>As above, of any storage.</summary>
    public static WalReport Verify(IWalStorage storage) => Report(storage, withFrames: false);

    private static WalReport Report(IWalStorage storage, bool withFrames)
    {
        var analysis = WalAnalysis.Read(storage, withFrames);
        var verdict = analysis.Damage is not null ? WalVerdict.Damaged
            : analysis.Behind.Count > 0 ? WalVerdict.TornTail : WalVerdict.Intact;
        var segments = new List<WalSegmentReport>();
        var others = new List<string>();
        foreach (var name in storage.List())
        {
            if (WalFiles.TryParseSegment(name, out var id))
            {
                using var file = storage.Open(name);
                WalFrameReport[] frames = [.. analysis.Frames.Where(frame => frame.Segment == name)];
                segments.Add(new WalSegmentReport(name, file.LengthBytes, frames, analysis.Obsolete.Contains(id)));
            }
            else if (!WalFiles.IsSpare(name) && name is not (WalFiles.Mark or WalFiles.Start or WalFiles.NextStart))
            {
                others.Add(name);
            }
        }

        return new WalReport(
            verdict, analysis.Damage, analysis.Behind, analysis.MarkSequence, analysis.KnownDurable, analysis.Sequence, analysis.Start,
            analysis.Base, analysis.LastId, analysis.HardState, segments, analysis.Spares, others);
    }

    /// <summary>CRC-32C and length of a file, block by block.</summary>
    /// <exception cref="IOException">The file cannot be read.</exception>
    public static (long LengthBytes, uint Crc) Sum(IWalStorage storage, string name)
    {
        using var file = storage.Open(name);
        var chunk = new byte[1 << 20];
        uint crc = 0;
        for (long offset = 0; offset < file.LengthBytes; offset += chunk.Length)
        {
            var part = chunk.AsSpan(0, (int)Math.Min(chunk.Length, file.LengthBytes - offset));
            file.Read(offset, part);
            crc = Crc32C.Append(crc, part);
        }

        return (file.LengthBytes, crc);
    }
}
