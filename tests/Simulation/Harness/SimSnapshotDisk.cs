using RaftMirror.Consensus.Snapshots;
using RaftMirror.Primitives;

namespace RaftMirror.Simulation.Harness;

/// <summary>The directory of snapshots: what was not synced is cut or gone after loss of power, names change atomically.</summary>
internal sealed class SimSnapshotDisk(Xoshiro random) : ISnapshotStorage
{
    private readonly SortedDictionary<string, Content> _files = new(StringComparer.Ordinal);

    /// <summary>Nothing more can be written.</summary>
    public bool IsFull { get; set; }

    public IReadOnlyList<string> List() => [.. _files.Keys];

    public ISnapshotFile Create(string name)
    {
        if (IsFull) throw new IOException("simulated: no space left on device");
        var content = new Content();
        _files[name] = content;
        return new File(this, content);
    }

    public ISnapshotFile Open(string name) =>
        _files.TryGetValue(name, out var content) ? new File(this, content) : throw new FileNotFoundException(name);

    public void Rename(string from, string to)
    {
        _files.Remove(from, out var content);
        _files[to] = content!;
    }

    public void Delete(string name) => _files.Remove(name);

    /// <summary>Flips a bit of a stored file.</summary>
    public bool Damage()
    {
        if (_files.Count == 0) return false;
        var content = _files.ElementAt(random.Next(_files.Count)).Value;
        if (content.Length == 0) return false;
        var bit = random.Next(content.Length * 8);
        content.Bytes[bit / 8] ^= (byte)(1 << (bit % 8));
        return true;
    }

    public void LosePower()
    {
        foreach (var content in _files.Values)
        {
            if (content.Length > content.Synced) content.Length = content.Synced + random.Next(content.Length - content.Synced + 1);
        }
    }

    private sealed class Content
    {
        public byte[] Bytes { get; set; } = [];

        public int Length { get; set; }

        public int Synced { get; set; }
    }

    private sealed class File(SimSnapshotDisk disk, Content content) : ISnapshotFile
    {
        public long LengthBytes => content.Length;

        public void Append(ReadOnlySpan<byte> data)
        {
            if (disk.IsFull) throw new IOException("simulated: no space left on device");
            if (content.Length + data.Length > content.Bytes.Length)
            {
                var larger = new byte[Math.Max(1024, 2 * (content.Length + data.Length))];
                content.Bytes.AsSpan(0, content.Length).CopyTo(larger);
                content.Bytes = larger;
            }

            data.CopyTo(content.Bytes.AsSpan(content.Length));
            content.Length += data.Length;
        }

        public void Read(long offset, Span<byte> buffer) => content.Bytes.AsSpan(0, content.Length).Slice((int)offset, buffer.Length).CopyTo(buffer);

        public void Truncate(long lengthBytes)
        {
            content.Length = (int)lengthBytes;
            content.Synced = Math.Min(content.Synced, content.Length);
        }

        public void Sync() => content.Synced = content.Length;

        public void Dispose()
        {
        }
    }
}
