using System.Text.Json;
using RaftMirror.Consensus;
using RaftMirror.Primitives;

namespace RaftMirror.Cli.Daemon;

/// <summary>Names and peer addresses of the voters. Raft knows numbers, people and the control plane know names. Written at the
/// first start from <c>--cluster</c>, read at every later one; immutable while the node runs. Any thread.</summary>
internal sealed class NodeDirectory
{
    private const string FileName = "members.json";
    private readonly SortedDictionary<string, Member> _byName;
    private readonly SortedDictionary<ushort, string> _names = [];

    private NodeDirectory(IEnumerable<Member> members)
    {
        _byName = new SortedDictionary<string, Member>(StringComparer.Ordinal);
        foreach (var member in members)
        {
            _byName.Add(member.Name, member);
            _names.Add(member.Id, member.Name);
        }
    }

    /// <summary>All voters' names, sorted.</summary>
    public IReadOnlyCollection<string> Names => _byName.Keys;

    /// <summary>Peer addresses by number, as the engine wants them.</summary>
    public IReadOnlyDictionary<NodeId, string> Addresses =>
        _byName.Values.ToDictionary(member => new NodeId(member.Id), member => member.Peer);

    /// <summary>Loads the members of an earlier start, or numbers those given by their sorted names and keeps them.</summary>
    /// <param name="dataDirectory">Exists and is this node's alone.</param>
    /// <param name="cluster">Name → HOST:PORT, for the first start.</param>
    /// <exception cref="InvalidDataException">The file is not what this program wrote.</exception>
    public static NodeDirectory LoadOrCreate(string dataDirectory, IReadOnlyDictionary<string, string> cluster)
    {
        var path = Path.Combine(dataDirectory, FileName);
        if (File.Exists(path))
        {
            Member[]? kept;
            try
            {
                kept = JsonSerializer.Deserialize(File.ReadAllBytes(path), DaemonJson.Default.MemberArray);
            }
            catch (JsonException damage)
            {
                throw new InvalidDataException($"{path} is damaged: restore it from another node, where it is the same. ({damage.Message})", damage);
            }

            if (kept is null || kept.Length == 0) throw new InvalidDataException($"{path} names no members: restore it from another node.");
            return new NodeDirectory(kept);
        }

        ushort id = 0;
        var members = cluster.OrderBy(pair => pair.Key, StringComparer.Ordinal)
            .Select(pair => new Member(pair.Key, ++id, pair.Value))
            .ToArray();
        Persist(path, JsonSerializer.SerializeToUtf8Bytes(members, DaemonJson.Default.MemberArray));
        return new NodeDirectory(members);
    }

    /// <summary>The number of a node, or null if no voter has that name.</summary>
    public NodeId? IdOf(string name) => _byName.TryGetValue(name, out var member) ? new NodeId(member.Id) : null;

    /// <summary>The name of a voter, or null.</summary>
    public string? NameOf(NodeId id) => _names.GetValueOrDefault(id.Value);

    /// <summary>The peer address of a voter.</summary>
    public string PeerOf(string name) => _byName[name].Peer;

    private static void Persist(string path, ReadOnlySpan<byte> content)
    {
        var temporary = path + ".new";
        using (var handle = Linux.Open(temporary, writable: true, create: true))
        {
            RandomAccess.SetLength(handle, 0);
            RandomAccess.Write(handle, content, 0);
            Linux.DataSync(handle);
        }

        File.Move(temporary, path, overwrite: true);
        Linux.SyncDirectory(Path.GetDirectoryName(path)!);
    }

    /// <summary>One voter.</summary>
    internal sealed record Member(string Name, ushort Id, string Peer);
}
