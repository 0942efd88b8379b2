using RaftMirror.Consensus.Storage;

namespace RaftMirror.Consensus.Tests.Storage;

/// <summary>Files in memory, to be damaged by tests.</summary>
internal sealed class MemoryStorage : IWalStorage
{
    public SortedDictionary<string, byte[]> Files { get; } = new(StringComparer.Ordinal);

    public bool FailFlush { get; set; }

    /// <summary>Errno of every file that is to be made; 0 for none.</summary>
    public int CreateErrno { get; set; }

    /// <summary>What fails so was done all the same, as where the directory cannot be made durable afterwards.</summary>
    public bool IsDoneAllTheSame { get; set; }

    /// <summary>Errno of every write; 0 for none. Half of it is done all the same.</summary>
    public int WriteErrno { get; set; }

    /// <summary>Offset of a byte in each file that the disk cannot read; -1 for none.</summary>
    public long Unreadable { get; set; } = -1;

    public MemoryStorage Copy()
    {
        var copy = new MemoryStorage();
        foreach (var (name, bytes) in Files) copy.Files.Add(name, (byte[])bytes.Clone());
        return copy;
    }

    public IReadOnlyList<string> List() => [.. Files.Keys];

    public IWalFile Create(string name, long lengthBytes)
    {
        if (CreateErrno == 0 || IsDoneAllTheSame) Files.Add(name, new byte[lengthBytes]);
        if (CreateErrno != 0) throw new IOException("a test asked for it", CreateErrno);
        return Open(name);
    }

    public IWalFile Open(string name) => new MemoryFile(this, Files[name]);

    public void Rename(string from, string to)
    {
        Files.Remove(from, out var bytes);
        Files[to] = bytes!;
    }

    public void Delete(string name) => Files.Remove(name);

    private sealed class MemoryFile(MemoryStorage storage, byte[] bytes) : IWalFile
    {
        public long LengthBytes => bytes.Length;

        public void Write(long offset, ReadOnlySpan<byte> data)
        {
            data[..(storage.WriteErrno == 0 ? data.Length : data.Length / 2)].CopyTo(bytes.AsSpan((int)offset));
            if (storage.WriteErrno != 0) throw new IOException("a test asked for it", storage.WriteErrno);
        }

        public void Read(long offset, Span<byte> buffer)
        {
            if (storage.Unreadable >= offset && storage.Unreadable < offset + buffer.Length) throw new IOException("a bad block");
            bytes.AsSpan((int)offset, buffer.Length).CopyTo(buffer);
        }

        public void Flush()
        {
            if (storage.FailFlush) throw new IOException("a test asked for it");
        }

        public void Dispose()
        {
        }
    }
}
