using RaftMirror.Primitives;

namespace RaftMirror.Consensus.Node;

/// <summary>
/// A small file that can be written anew though its file system is full (design §14.22). Beside FILE lies FILE.next, as long as what comes next may
/// be, with blocks of its own: it is overwritten in place and made durable, then the two exchange their names, so the former FILE is the next one's
/// space. FILE is whole at any moment; FILE.next means nothing. Where the file system cannot exchange names, or never writes in place, it is as with
/// any other file.
/// </summary>
internal static class ReservedFile
{
    public const string Suffix = ".next";
    private const int BlockBytes = 4096;

    /// <summary>Replaces a file; durable on return.</summary>
    /// <param name="path">The file; it need not be there.</param>
    /// <param name="content">A text that may end in blanks: it is filled up with them to whole blocks.</param>
    /// <exception cref="IOException">It could not be written; the file is as it was.</exception>
    public static void Write(string path, ReadOnlySpan<byte> content)
    {
        var next = path + Suffix;
        var blocks = FillUp(content);
        Put(next, blocks);
        if (!File.Exists(path) || !Linux.TryExchange(next, path)) File.Move(next, path, overwrite: true);
        Linux.SyncDirectory(Path.GetDirectoryName(path)!);
        Reserve(next, blocks);
    }

    private static byte[] FillUp(ReadOnlySpan<byte> content)
    {
        var blocks = new byte[(content.Length + BlockBytes - 1) / BlockBytes * BlockBytes];
        content.CopyTo(blocks);
        blocks.AsSpan(content.Length).Fill((byte)' ');
        blocks[^1] = (byte)'\n';
        return blocks;
    }

    /// <summary>Gives the next version its space now. Without it all is well until it is needed.</summary>
    private static void Reserve(string next, ReadOnlySpan<byte> blocks)
    {
        if (File.Exists(next) && new FileInfo(next).Length >= blocks.Length) return;
        try
        {
            Put(next, blocks);
        }
        catch (IOException error) when (ErrnoText.IsExhaustion(error.HResult))
        {
            // It is tried again each time that the file is written.
        }
    }

    private static void Put(string path, ReadOnlySpan<byte> blocks)
    {
        using var handle = Linux.Open(path, writable: true, create: true);
        if (Linux.WriteAt(handle, blocks, 0) is var result and < 0)
            throw new IOException($"{path} cannot be written: {ErrnoText.Of(-result)}", -result);
        if (RandomAccess.GetLength(handle) > blocks.Length) RandomAccess.SetLength(handle, blocks.Length);
        Linux.DataSync(handle);
    }
}
