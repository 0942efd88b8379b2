using System.Text.Json;
using RaftMirror.Consensus.Core;
using RaftMirror.Consensus.Model;
using RaftMirror.Primitives;

namespace RaftMirror.Consensus.Storage;

/// <summary>An entry, for the receipt.</summary>
internal sealed record SalvagedEntry(ulong Term, ulong Index);

/// <summary>A source file, so that it can be proven later what was salvaged from. Without a checksum if it could not be read.</summary>
internal sealed record SalvageSource(string Name, long LengthBytes, string? Crc32C, string? Error);

/// <summary>
/// What disaster recovery did; <c>receipt.json</c> in the new log's directory. The salvaged log may lack entries that were acknowledged
/// and votes that were given, so the old self must never speak again.
/// </summary>
/// <param name="Format">1.</param>
/// <param name="At">UTC.</param>
/// <param name="Reason">The operator's.</param>
/// <param name="Source">The directory that was read.</param>
/// <param name="WasDamaged">False if the whole log was kept.</param>
/// <param name="Damage">What was wrong, and where.</param>
/// <param name="KeptBase">The entry before the first one kept; a snapshot that covers it is needed too if its index is above 0.</param>
/// <param name="KeptLast">The last entry kept.</param>
/// <param name="KeptCommit">Commit hint kept.</param>
/// <param name="KeptTerm">Highest term seen in what was kept; a lost frame may have had a higher one.</param>
/// <param name="KeptFrames">The last frame kept.</param>
/// <param name="LostKnownDurableFrames">Frames that were durable and are lost: acknowledged entries and votes may be among them.</param>
/// <param name="LostLastIndexSeen">Highest index in intact headers behind the damage; 0 if none was seen.</param>
/// <param name="Sources">Every file of the source.</param>
/// <param name="RequiresNewIncarnation">Always true.</param>
/// <param name="RequiresNewClusterGeneration">Always true: the node layer must fence all other members of the old generation before this log
/// is used, and must refuse a data directory whose receipt it has not enacted.</param>
internal sealed record SalvageReceipt(
    int Format, DateTimeOffset At, string Reason, string Source, bool WasDamaged, WalDamage? Damage, SalvagedEntry KeptBase,
    SalvagedEntry KeptLast, ulong KeptCommit, ulong KeptTerm, ulong KeptFrames, ulong LostKnownDurableFrames, ulong LostLastIndexSeen,
    IReadOnlyList<SalvageSource> Sources, bool RequiresNewIncarnation, bool RequiresNewClusterGeneration);

/// <summary>
/// Disaster recovery: makes a new log of the longest intact prefix of an old one, when a majority is lost for ever or no intact copy is
/// left. Offline; the source is only read. Receipt and log get their name together, so that neither is there without the other.
/// </summary>
internal static class WalSalvage
{
    public const string ReceiptName = "receipt.json";

    private static readonly JsonSerializerOptions Json = new() { PropertyNamingPolicy = JsonNamingPolicy.CamelCase, WriteIndented = true };

    /// <summary>Salvages into a new directory.</summary>
    /// <param name="source">The old log's directory; the caller holds the node's lock.</param>
    /// <param name="target">A directory that does not exist. Until all is done it has ".unfinished" behind its name.</param>
    /// <param name="segmentBytes">Of the new log; holds the largest entry.</param>
    /// <param name="incarnation">Of the new log's frames: higher than any before.</param>
    /// <param name="reason">The operator's words, not empty.</param>
    /// <param name="at">Now.</param>
    /// <exception cref="ArgumentException">The target is in use, or there is no reason.</exception>
    /// <exception cref="IOException">The source cannot be listed, or the target not be written. There is no target then.</exception>
    public static SalvageReceipt Recover(
        string source, string target, long segmentBytes, ulong incarnation, string reason, DateTimeOffset at)
    {
        if (string.IsNullOrWhiteSpace(reason)) throw new ArgumentException("A reason is needed: it goes into the receipt.");
        target = Path.TrimEndingDirectorySeparator(Path.GetFullPath(target));
        var unfinished = target + ".unfinished";
        if (Path.Exists(target)) throw new ArgumentException($"{target} exists: a log is never salvaged in place.");
        if (Path.Exists(unfinished)) throw new ArgumentException($"{unfinished} is left of an attempt that did not end: remove it.");
        var from = new DirectoryStorage(source, isReadOnly: true);
        var analysis = WalAnalysis.Read(from);
        var isEmpty = analysis.TailSegment == 0 && analysis.Base.Index == 0;
        if (isEmpty && analysis.Damage is null) throw new ArgumentException($"{source} holds no log.");
        var receipt = MakeReceipt(analysis, from, source, reason, at);
        var to = new DirectoryStorage(unfinished);
        WriteReceipt(to, receipt);
        Write(to, analysis, segmentBytes, incarnation);
        Directory.Move(unfinished, target); // At once: half a log would open as a shorter one.
        Linux.SyncDirectory(Path.GetDirectoryName(target)!);
        return receipt;
    }

    private static SalvageReceipt MakeReceipt(
        WalAnalysis analysis, DirectoryStorage from, string source, string reason, DateTimeOffset at)
    {
        var sources = new List<SalvageSource>();
        foreach (var name in from.List())
        {
            try
            {
                var (length, crc) = WalInspector.Sum(from, name);
                sources.Add(new SalvageSource(name, length, crc.ToString("x8"), null));
            }
            catch (IOException error)
            {
                sources.Add(new SalvageSource(name, 0, null, error.Message));
            }
        }

        var lastSeen = analysis.Behind.Count == 0 ? 0 : analysis.Behind.Max(frame => frame.LastIndex);
        var lost = analysis.KnownDurable > analysis.Sequence ? analysis.KnownDurable - analysis.Sequence : 0;
        return new SalvageReceipt(
            1, at, reason, Path.GetFullPath(source), analysis.Damage is not null, analysis.Damage,
            new SalvagedEntry(analysis.Base.Term, analysis.Base.Index), new SalvagedEntry(analysis.LastId.Term, analysis.LastId.Index),
            analysis.HardState.Commit, analysis.HardState.Term, analysis.Sequence, lost, lastSeen, sources, true, true);
    }

    private static void WriteReceipt(DirectoryStorage to, SalvageReceipt receipt)
    {
        var bytes = JsonSerializer.SerializeToUtf8Bytes(receipt, Json);
        const string part = ReceiptName + ".part";
        using (var file = to.Create(part, bytes.Length))
        {
            file.Write(0, bytes);
            file.Flush();
        }

        to.Rename(part, ReceiptName);
    }

    private static void Write(DirectoryStorage to, WalAnalysis analysis, long segmentBytes, ulong incarnation)
    {
        using var log = new WriteAheadLog(to, segmentBytes, incarnation);
        LogEntry[] entries = [.. analysis.Entries];
        log.AppendAll(new WriteBatch(1, analysis.HardState, analysis.Base, entries, IsReset: analysis.Base.Index > 0));
        log.FlushAll();
        var copy = WalAnalysis.Read(to);
        Invariant.Require(
            copy.Damage is null && copy.LastId == analysis.LastId && copy.HardState == analysis.HardState && copy.Base == analysis.Base,
            "What was salvaged reads back as what was read.");
    }
}
