using RaftMirror.Consensus.Model;
using RaftMirror.Consensus.Snapshots;
using RaftMirror.Primitives;

namespace RaftMirror.Consensus.Tests.Snapshots;

/// <summary>Values that the tests of snapshots share.</summary>
internal static class Samples
{
    public static readonly Guid Cluster = new("00112233-4455-6677-8899-aabbccddeeff");

    public static Configuration Three => new(
        [new(1), new(2), new(3)], details: [new Member(new(1), "a", "h1:1"), new Member(new(2), "b", "h2:1", 7), new Member(new(3), "c", "h3:1", 0)]);

    public static byte[] Content(int length, ulong seed = 1)
    {
        var random = new Xoshiro(seed);
        var bytes = new byte[length];
        for (var i = 0; i < length; i++) bytes[i] = (byte)random.NextUInt64();
        return bytes;
    }

    public static SnapshotMeta Write(this SnapshotStore store, ulong index, byte[] content) =>
        store.Write(new EntryId(3, index), Three, index * 17, new Source(content));

    public static byte[] ContentOf(SnapshotReader reader)
    {
        using var copy = new MemoryStream();
        using var content = reader.OpenState();
        content.CopyTo(copy, 777);
        return copy.ToArray();
    }

    /// <summary>Writes in pieces of changing lengths: the file must not depend on them.</summary>
    internal sealed class Source(byte[] content, int piece = 1000) : ISnapshotSource
    {
        public void WriteTo(Stream destination)
        {
            for (var at = 0; at < content.Length; at += piece) destination.Write(content, at, Math.Min(piece, content.Length - at));
        }
    }
}
