using RaftMirror.Primitives;

namespace RaftMirror.Consensus.Node;

/// <summary>Small files that are there whole or not at all, and durable on return.</summary>
internal static class DurableFile
{
    public static void Write(string path, ReadOnlySpan<byte> content)
    {
        var temporary = path + ".new";
        using (var handle = File.OpenHandle(temporary, FileMode.Create, FileAccess.Write))
        {
            RandomAccess.Write(handle, content, 0);
            Linux.DataSync(handle);
        }

        File.Move(temporary, path, overwrite: true);
        Linux.SyncDirectory(Path.GetDirectoryName(path)!);
    }

    public static void Delete(string path)
    {
        File.Delete(path);
        Linux.SyncDirectory(Path.GetDirectoryName(path)!);
    }
}
