using System.Globalization;
using RaftMirror.Consensus.Model;

namespace RaftMirror.Consensus.Snapshots;

/// <summary>Names of the files of a snapshot store. Index first and padded, so that ordinal order is the order of the log:
/// <code>
/// INDEX-TERM.snap               a snapshot, whole
/// INDEX-TERM.snap.new           being written; nobody continues it
/// INDEX-TERM-LENGTH-CRC.part    being received: the name says what it will be
/// </code></summary>
internal static class SnapshotName
{
    public const string Unfinished = ".snap.new";
    private const string Whole = ".snap";
    private const string Part = ".part";

    public static string Of(EntryId last) => string.Create(CultureInfo.InvariantCulture, $"{last.Index:D20}-{last.Term}{Whole}");

    public static string OfUnfinished(EntryId last) => string.Create(CultureInfo.InvariantCulture, $"{last.Index:D20}-{last.Term}{Unfinished}");

    public static string OfPart(SnapshotOffer offer) =>
        string.Create(CultureInfo.InvariantCulture, $"{offer.Last.Index:D20}-{offer.Last.Term}-{offer.LengthBytes}-{offer.Crc:x8}{Part}");

    /// <summary>Reads the name of a whole snapshot; false for any other.</summary>
    public static bool TryParse(string name, out EntryId last)
    {
        last = default;
        if (!name.EndsWith(Whole, StringComparison.Ordinal)) return false;
        var parts = name[..^Whole.Length].Split('-');
        if (parts.Length != 2 || !TryNumber(parts[0], out var index) || !TryNumber(parts[1], out var term)) return false;
        last = new EntryId(term, index);
        return Of(last) == name; // Two names of one snapshot would be two snapshots.
    }

    /// <summary>True for a file being received, whatever else its name says.</summary>
    public static bool IsPart(string name) => name.EndsWith(Part, StringComparison.Ordinal);

    private static bool TryNumber(string text, out ulong value) =>
        ulong.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out value);
}
