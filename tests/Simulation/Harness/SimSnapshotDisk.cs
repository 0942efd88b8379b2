using RaftMirror.Consensus.Snapshots;
using RaftMirror.Primitives;

namespace RaftMirror.Simulation.Harness;

/// <summary>The directory of snapshots: what was not synced is cut or gone after loss of power, names change atomically.</summary>
internal sealed class SimSnapshotDisk(Xoshiro random, DiskPower power) : ISnapshotStorage
{
    private readonly SortedDictionary<string, Content> _files = new(StringComparer.Ordinal);
    private readonly SortedDictionary<string, Content> _deleted = new(StringComparer.Ordinal);

    /// <summary>Nothing more can be written.</summary>
    public bool IsFull { get; set; }

    public IReadOnlyList<string> List() => [.. _files.Keys];

    public ISnapshotFile Create(string name)
    {
        power.Use();
        if (IsFull) throw new IOException("simulated: no space left on device", ErrnoText.NoSpace);
        var content = new Content();
        _files[name] = content;
        return new File(this, content);
    }

    public ISnapshotFile Open(string name) =>
        _files.TryGetValue(name, out var content) ? new File(this, content) : throw new FileNotFoundException(name);

    public void Rename(string from, string to)
    {
        power.Use();
        _files.Remove(from, out var content);
        _files[to] = content!;
        _deleted.Clear(); // The directory was synced.
    }

    public void Delete(string name)
    {
        power.Use();
        if (_files.Remove(name, out var content)) _deleted[name] = content;
    }

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

    /// <summary>What was deleted may be back.</summary>
    public void LosePower()
    {
        foreach (var (name, content) in _deleted)
        {
            if (random.Chance(0.3)) _files.TryAdd(name, content);
        }

        _deleted.Clear();
        foreach (var content in _files.Values)
        {
            if (content.Length > content.Synced) content.Length = content.Synced + random.Next(content.Length - content.Synced + 1);
        }
    }

    /// <summary>What is on stable storage, as a copy of the directory has it.</summary>
    public SortedDictionary<string, byte[]> Copy()
    {
        var copy = new SortedDictionary<string, byte[]>(StringComparer.Ordinal);
        foreach (var (name, content) in _files) copy.Add(name, content.Bytes[..content.Synced]);
        return copy;
    }

    /// <summary>Puts a copy in place of all there is.</summary>
    public void PutBack(IReadOnlyDictionary<string, byte[]> copy)
    {
        _files.Clear();
        _deleted.Clear();
        foreach (var (name, bytes) in copy) _files[name] = new Content { Bytes = [.. bytes], Length = bytes.Length, Synced = bytes.Length };
    }

    private void UsePower() => power.Use();

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
            disk.UsePower();
            if (disk.IsFull) throw new IOException("simulated: no space left on device", ErrnoText.NoSpace);
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
            disk.UsePower();
            content.Length = (int)lengthBytes;
            content.Synced = Math.Min(content.Synced, content.Length);
        }

        public void Sync()
        {
            disk.UsePower();
            content.Synced = content.Length;
        }

        public void Dispose()
        {
        }
    }
}
