using System.Text.Json;
using System.Text.Json.Serialization;
using RaftMirror.Primitives;

namespace RaftMirror.Node.Peers;

/// <summary>members.json: what the engine was started with the first time, so that a first start that a crash cut short goes on as it began.
/// Who takes part later stands in the replicated log alone.</summary>
/// <param name="ClusterName">The cluster's name; null in files of earlier versions.</param>
/// <param name="JoinedClusterId">Set if the node joined a running cluster: that cluster's id.</param>
/// <param name="Members">Of the first start, or whom the running cluster named. This node is among them.</param>
/// <param name="AfterIncarnation">The newest incarnation that a former node of this name had; 0 for none.</param>
internal sealed record FirstStart(
    string? ClusterName, Guid? JoinedClusterId, IReadOnlyList<FirstMember> Members, ulong AfterIncarnation = 0)
{
    public const string FileName = "members.json";

    /// <summary>True if a data directory was started before: then nothing else says what it is.</summary>
    public static bool Exists(string dataDirectory) => File.Exists(Path.Combine(dataDirectory, FileName));

    /// <summary>True if the file is gone from a directory that is a node's: no other start may make it anew.</summary>
    public static bool IsMissing(string dataDirectory) => !Exists(dataDirectory) && File.Exists(Path.Combine(dataDirectory, "node.json"));

    /// <summary>Numbers the nodes of a new cluster by their sorted names.</summary>
    public static FirstStart OfCluster(string clusterName, IReadOnlyDictionary<string, string> cluster)
    {
        ushort id = 0;
        return new FirstStart(
            clusterName, null,
            [.. cluster.OrderBy(pair => pair.Key, StringComparer.Ordinal).Select(pair => new FirstMember(pair.Key, ++id, pair.Value))]);
    }

    /// <summary>Reads what an earlier start wrote.</summary>
    /// <exception cref="InvalidDataException">The file is not what this program wrote.</exception>
    public static FirstStart Load(string dataDirectory)
    {
        var path = Path.Combine(dataDirectory, FileName);
        FirstStart? kept;
        try
        {
            var bytes = File.ReadAllBytes(path);
            // Before clusters could change their members the file was the list alone.
            kept = bytes.Length > 0 && bytes[0] == '['
                ? new FirstStart(null, null, JsonSerializer.Deserialize(bytes, FirstStartJson.Default.FirstMemberArray) ?? [])
                : JsonSerializer.Deserialize(bytes, FirstStartJson.Default.FirstStart);
        }
        catch (JsonException damage)
        {
            throw new InvalidDataException($"{path} is damaged: restore it from a backup or take the node out and add another. ({damage.Message})", damage);
        }

        return kept is { Members.Count: > 0 } ? kept : throw new InvalidDataException($"{path} names no members: restore it from a backup.");
    }

    /// <summary>Writes it, durable on return.</summary>
    public void Save(string dataDirectory)
    {
        var path = Path.Combine(dataDirectory, FileName);
        var temporary = path + ".new";
        using (var handle = Linux.Open(temporary, writable: true, create: true))
        {
            RandomAccess.SetLength(handle, 0);
            RandomAccess.Write(handle, JsonSerializer.SerializeToUtf8Bytes(this, FirstStartJson.Default.FirstStart), 0);
            Linux.DataSync(handle);
        }

        File.Move(temporary, path, overwrite: true);
        Linux.SyncDirectory(dataDirectory);
    }
}

/// <summary>One member of a first start.</summary>
internal sealed record FirstMember(string Name, ushort Id, string Peer);

[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase, DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull)]
[JsonSerializable(typeof(FirstMember[]))]
[JsonSerializable(typeof(FirstStart))]
internal sealed partial class FirstStartJson : JsonSerializerContext;
