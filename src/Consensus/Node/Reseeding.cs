using System.Text.Json;
using System.Text.Json.Serialization;
using RaftMirror.Consensus.Core;
using RaftMirror.Consensus.Model;
using RaftMirror.Consensus.Storage;

namespace RaftMirror.Consensus.Node;

/// <summary>reseed.json: this directory gives its history up at its next start. While the file is there the work is not finished.</summary>
/// <param name="Seeded">What it builds on afterwards.</param>
/// <param name="Term">The term that its new log begins in: it has voted in none later.</param>
/// <param name="Incarnation">Its lives so far had numbers up to this.</param>
internal sealed record ReseedOrder(SeedRecord Seeded, ulong Term, ulong Incarnation);

[JsonSourceGenerationOptions(WriteIndented = true, PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase)]
[JsonSerializable(typeof(ReseedOrder))]
internal sealed partial class ReseedJson : JsonSerializerContext;

/// <summary>
/// Gives a directory's history up (design §14.24): log, snapshots and what is known of peers go, identity and number stay. The node then gets
/// everything from the others. Each step can be the last one before a crash: the order is kept until all is done, and done again.
/// </summary>
internal static class Reseeding
{
    public const string FileName = "reseed.json";

    /// <summary>The order, durable on return. Carried out by the next start.</summary>
    public static void Order(string dataDirectory, ReseedOrder order) =>
        DurableFile.Write(Path.Combine(dataDirectory, FileName), JsonSerializer.SerializeToUtf8Bytes(order, ReseedJson.Default.ReseedOrder));

    /// <summary>Carries an order out, if there is one. The directory's lock is held.</summary>
    /// <returns>The identity to go on with; what is given if there was no order.</returns>
    /// <exception cref="InvalidOperationException">The order cannot be read.</exception>
    public static NodeRecord Finish(RaftNodeOptions options, NodeRecord record)
    {
        var path = Path.Combine(options.DataDirectory, FileName);
        if (!File.Exists(path)) return record;
        var order = Read(path);
        Clear(Path.Combine(options.DataDirectory, "snapshots"));
        var logDirectory = DirectoryIdentity.LogOf(options.DataDirectory);
        Clear(logDirectory);
        record = record with
        {
            Incarnation = Math.Max(record.Incarnation, order.Incarnation),
            Starts = [],
            Seeded = order.Seeded,
        };
        using (var log = new WriteAheadLog(new DirectoryStorage(logDirectory), options.SegmentBytes, record.Incarnation))
        {
            log.Append(new WriteBatch(0, new HardState(order.Term, default, 0), default, []));
            log.Flush();
        }

        DirectoryIdentity.Save(Path.Combine(options.DataDirectory, DirectoryIdentity.FileName), record);
        DurableFile.Delete(Path.Combine(options.DataDirectory, LifeNote.FileName));
        DurableFile.Delete(Path.Combine(options.DataDirectory, RaftNode.QuarantineFile));
        DurableFile.Delete(path);
        return record;
    }

    private static ReseedOrder Read(string path)
    {
        try
        {
            return JsonSerializer.Deserialize(File.ReadAllBytes(path), ReseedJson.Default.ReseedOrder) is { Seeded: not null } order
                ? order
                : throw new JsonException("It is empty.");
        }
        catch (JsonException damage)
        {
            throw new InvalidOperationException($"{path} is damaged: {damage.Message}", damage);
        }
    }

    private static void Clear(string directory)
    {
        if (Directory.Exists(directory)) Directory.Delete(directory, recursive: true);
    }
}
