using System.Text.Json;
using System.Text.Json.Serialization;
using RaftMirror.Consensus.Model;

namespace RaftMirror.Consensus.Node;

/// <summary>lives.json: what was found against this directory, so that a restart does not forget it (design §14.24).</summary>
/// <param name="Old">The directory is older than it was.</param>
/// <param name="Conflict">Its history contradicts others'.</param>
internal sealed record LifeNote(LifeNote.OldNote? Old, LifeNote.ConflictNote? Conflict)
{
    public const string FileName = "lives.json";

    /// <summary>Reads the note; nothing if there is none.</summary>
    /// <exception cref="InvalidOperationException">It is damaged.</exception>
    public static LifeNote Load(string dataDirectory)
    {
        var path = Path.Combine(dataDirectory, FileName);
        if (!File.Exists(path)) return new LifeNote(null, null);
        try
        {
            return JsonSerializer.Deserialize(File.ReadAllBytes(path), LifeNoteJson.Default.LifeNote) ?? throw new JsonException("It is empty.");
        }
        catch (JsonException damage)
        {
            throw new InvalidOperationException($"{path} is damaged: {damage.Message}", damage);
        }
    }

    /// <summary>Durable on return; without anything to say the file goes.</summary>
    public void Save(string dataDirectory)
    {
        var path = Path.Combine(dataDirectory, FileName);
        if (Old is null && Conflict is null) DurableFile.Delete(path);
        else DurableFile.Write(path, JsonSerializer.SerializeToUtf8Bytes(this, LifeNoteJson.Default.LifeNote));
    }

    public static LifeNote Of(OldDirectory? old, HistoryConflict? conflict) => new(
        old is null ? null : new OldNote(
            old.By.Value, old.Known.Incarnation, old.Known.Start.ToString("x16"), old.Known.Promised.Term, old.Known.Promised.Index,
            old.Own.Incarnation, old.Own.Recovered.Term, old.Own.Recovered.Index, old.Disk),
        conflict is null ? null : new ConflictNote(conflict.Own.Term, conflict.Own.Index, [.. conflict.Peers.Select(peer => peer.Value)]));

    public OldDirectory? OldOf(NodeId self, NodeLife life) => Old is not { } old ? null : new OldDirectory(
        new NodeId(old.By),
        new KnownLife(self, old.KnownIncarnation, Convert.ToUInt64(old.KnownStart, 16), new Promised(old.KnownTerm, old.KnownIndex)),
        life with { Incarnation = old.OwnIncarnation, Starts = [0], Recovered = new Promised(old.OwnTerm, old.OwnIndex) },
        old.Disk);

    public HistoryConflict? ConflictOf() => Conflict is not { } conflict ? null
        : new HistoryConflict(new EntryId(conflict.Term, conflict.Index), [.. conflict.Peers.Select(peer => new NodeId(peer))]);

    /// <param name="By">Number of the node that knew; 0 for the disks.</param>
    /// <param name="KnownIncarnation">The life that it knew.</param>
    /// <param name="KnownStart">That life's start, 16 hexadecimal digits.</param>
    /// <param name="KnownTerm">The term in which this node had bound itself.</param>
    /// <param name="KnownIndex">And the index.</param>
    /// <param name="OwnIncarnation">The life in which it was found.</param>
    /// <param name="OwnTerm">What the directory had then: its term.</param>
    /// <param name="OwnIndex">And its last index.</param>
    /// <param name="Disk">The disk that knew; null if none.</param>
    internal sealed record OldNote(
        ushort By, ulong KnownIncarnation, string KnownStart, ulong KnownTerm, ulong KnownIndex, ulong OwnIncarnation, ulong OwnTerm, ulong OwnIndex,
        string? Disk = null);

    /// <param name="Term">Of this node's committed entry.</param>
    /// <param name="Index">Its place.</param>
    /// <param name="Peers">Numbers of those that have another one there.</param>
    internal sealed record ConflictNote(ulong Term, ulong Index, ushort[] Peers);
}

[JsonSourceGenerationOptions(WriteIndented = true, PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase)]
[JsonSerializable(typeof(LifeNote))]
internal sealed partial class LifeNoteJson : JsonSerializerContext;
