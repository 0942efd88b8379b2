using RaftMirror.Consensus.Storage;

namespace RaftMirror.Consensus.Tests.Storage;

/// <summary>Files in memory, to be damaged by tests.</summary>
internal sealed class MemoryStorage : IWalStorage
{
    public SortedDictionary<string, byte[]> Files { get; } = new(StringComparer.Ordinal);

    public bool FailFlush { get; set; }

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
        Files.Add(name, new byte[lengthBytes]);
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

        public void Write(long offset, ReadOnlySpan<byte> data) => data.CopyTo(bytes.AsSpan((int)offset));

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
