using System.Globalization;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using System.Text.Json.Serialization;
using Microsoft.Win32.SafeHandles;
using RaftMirror.Consensus.Model;
using RaftMirror.Primitives;

namespace RaftMirror.Consensus.Node;

/// <summary>node.json: who this data directory belongs to. Members are those of the cluster's first start; for a node that joined a running
/// cluster, those that it was told then, which says where to dial and nothing about who votes. EnactedReceipt: SHA-256 of the receipt of the
/// salvaged log that this identity was made for; without it such a log is refused. Starts: random identities of the last starts, newest first, 16
/// hexadecimal digits each; the first one is that of Incarnation. Seeded: what the directory was last seeded anew with.</summary>
internal sealed record NodeRecord(
    int Format, Guid ClusterId, string ClusterName, ushort NodeId, ulong Incarnation, SortedDictionary<ushort, string> Members,
    bool Joined = false, string? EnactedReceipt = null, string[]? Starts = null, SeedRecord? Seeded = null);

/// <summary>What a directory that gave its own history up builds on (design §14.24).</summary>
/// <param name="FloorTerm">It votes for nobody whose log lacks this entry: its term.</param>
/// <param name="FloorIndex">Its index.</param>
/// <param name="ForgivenTerm">What it had promised in terms up to this binds it no more.</param>
/// <param name="ForgivenIndex">And up to this index.</param>
internal sealed record SeedRecord(ulong FloorTerm, ulong FloorIndex, ulong ForgivenTerm, ulong ForgivenIndex);

[JsonSourceGenerationOptions(WriteIndented = true, PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase)]
[JsonSerializable(typeof(NodeRecord))]
internal sealed partial class NodeRecordJson : JsonSerializerContext;

/// <summary>Takes the lock of a data directory and counts the process life up, durably, before anything is said to a peer.</summary>
internal sealed class DirectoryIdentity : IDisposable
{
    public const string FileName = "node.json";
    private const int Format = 1;
    private readonly SafeFileHandle _lock;

    private DirectoryIdentity(SafeFileHandle fileLock, NodeRecord record)
    {
        _lock = fileLock;
        Record = record;
    }

    public NodeRecord Record { get; }

    /// <summary>The folder of the log in a data directory.</summary>
    public static string LogOf(string dataDirectory) => Path.Combine(dataDirectory, "raft");

    /// <summary>This process life, for the peers.</summary>
    /// <param name="recovered">What the log had.</param>
    public NodeLife LifeWith(Promised recovered)
    {
        var seeded = Record.Seeded ?? new SeedRecord(0, 0, 0, 0);
        ulong[] starts = [.. Record.Starts!.Select(start => ulong.Parse(start, NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture))];
        return new NodeLife(
            Record.Incarnation, starts, recovered, new Promised(seeded.ForgivenTerm, seeded.ForgivenIndex),
            new EntryId(seeded.FloorTerm, seeded.FloorIndex));
    }

    /// <exception cref="InvalidOperationException">Locked, damaged, or of another node or cluster.</exception>
    public static DirectoryIdentity Open(RaftNodeOptions options)
    {
        Directory.CreateDirectory(options.DataDirectory);
        var fileLock = Linux.Open(Path.Combine(options.DataDirectory, "LOCK"), writable: true, create: true);
        try
        {
            if (!Linux.TryLock(fileLock))
                throw new InvalidOperationException($"Another process uses {options.DataDirectory} (its LOCK file is held).");
            var path = Path.Combine(options.DataDirectory, FileName);
            var record = File.Exists(path) ? Load(path, options) : First(options);
            if (SalvagedLog.WhyRefused(options.DataDirectory, record) is { } refusal) throw new InvalidOperationException(refusal);
            record = Reseeding.Finish(options, record);
            record = Next(record, LifeNote.Load(options.DataDirectory).Old?.KnownIncarnation ?? 0);
            Save(path, record);
            return new DirectoryIdentity(fileLock, record);
        }
        catch
        {
            fileLock.Dispose();
            throw;
        }
    }

    /// <summary>The same on every node of a first start: a hash of the name, the sorted ids and their addresses. Without the
    /// addresses all clusters of nodes a, b, c that nobody named would be one: a node that finds another cluster's
    /// listener on a reused port would take part in its votes.</summary>
    public static Guid ClusterIdOf(string clusterName, IReadOnlyDictionary<NodeId, string> members)
    {
        var text = "raft-mirror cluster\n" + clusterName + "\n"
            + string.Join(',', members.OrderBy(member => member.Key).Select(member => $"{member.Key}={member.Value}"));
        return new Guid(SHA256.HashData(Encoding.UTF8.GetBytes(text)).AsSpan(0, 16));
    }

    public void Dispose() => _lock.Dispose();

    /// <summary>The next life. A directory that is known to be old starts behind the lives that it does not remember: peers who have seen these would
    /// not let it in, and it could not tell what is wrong nor be seeded anew.</summary>
    private static NodeRecord Next(NodeRecord record, ulong knownIncarnation) => knownIncarnation > record.Incarnation
        ? record with { Incarnation = knownIncarnation + 1, Starts = [NewStart()] }
        : Next(record);

    /// <summary>The next life of a directory. Number and starts go on together: a start's place tells whose it is.</summary>
    public static NodeRecord Next(NodeRecord record) => record with
    {
        Incarnation = record.Incarnation + 1,
        Starts = [NewStart(), .. (record.Starts ?? []).Take(NodeLife.MaxStarts - 1)],
    };

    private static string NewStart() => Convert.ToHexStringLower(RandomNumberGenerator.GetBytes(8));

    private static NodeRecord First(RaftNodeOptions options)
    {
        if (Directory.Exists(LogOf(options.DataDirectory)))
            throw new InvalidOperationException($"{options.DataDirectory} has a log but no node.json: files are missing.");
        if (!options.InitialMembers.ContainsKey(options.Self) && options.JoinClusterId is null)
            throw new InvalidOperationException($"Node {options.Self} is not among the initial members.");
        if (options.ClusterName.Length is 0 or > 200) throw new InvalidOperationException("A cluster name has 1 to 200 characters.");
        var members = new SortedDictionary<ushort, string>();
        foreach (var (id, address) in options.InitialMembers) members.Add(id.Value, address);
        var clusterId = options.JoinClusterId ?? ClusterIdOf(options.ClusterName, options.InitialMembers);
        return new NodeRecord(
            Format, clusterId, options.ClusterName, options.Self.Value, options.AfterIncarnation, members, options.JoinClusterId is not null);
    }

    /// <summary>Reads an identity.</summary>
    /// <exception cref="InvalidOperationException">It is damaged or of a later version.</exception>
    public static NodeRecord Read(string path)
    {
        NodeRecord? record;
        try
        {
            record = JsonSerializer.Deserialize(File.ReadAllBytes(path), NodeRecordJson.Default.NodeRecord);
        }
        catch (JsonException error)
        {
            throw new InvalidOperationException($"{path} is damaged: {error.Message}", error);
        }

        if (record is null || record.Format != Format || record.Members is null || record.Starts?.Any(start => !IsStart(start)) == true)
            throw new InvalidOperationException($"{path} has an unknown format.");
        return record;
    }

    private static bool IsStart(string text) => text.Length == 16 && text.All(char.IsAsciiHexDigitLower);

    public static void Save(string path, NodeRecord record) =>
        ReservedFile.Write(path, JsonSerializer.SerializeToUtf8Bytes(record, NodeRecordJson.Default.NodeRecord));

    private static NodeRecord Load(string path, RaftNodeOptions options)
    {
        var record = Read(path);
        if (record.NodeId != options.Self.Value)
            throw new InvalidOperationException($"{options.DataDirectory} belongs to node {record.NodeId}, not to node {options.Self}.");
        if (record.ClusterName != options.ClusterName)
            throw new InvalidOperationException($"{options.DataDirectory} belongs to cluster \"{record.ClusterName}\".");

        // Members are the first start's; their addresses may have moved.
        foreach (var id in record.Members.Keys.ToArray())
        {
            if (options.InitialMembers.TryGetValue(new NodeId(id), out var address)) record.Members[id] = address;
        }

        return record;
    }
}
