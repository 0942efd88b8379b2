using RaftMirror.Consensus.Storage;
using RaftMirror.Primitives;

namespace RaftMirror.Simulation.Harness;

/// <summary>A directory with two images per file: what the system shows, and what is on stable storage. Sectors of 512 bytes
/// are written whole or not at all; after loss of power each one that was not flushed has its old or its new content. Names are durable
/// when an operation returns, as <see cref="IWalStorage"/> says; between two operations the power may fail.</summary>
internal sealed class SimDisk(Xoshiro random, DiskPower power) : IWalStorage
{
    private const int SectorBytes = 512;
    private const int BlockBytes = 4096;
    private static readonly int[] Shortages = [ErrnoText.NoSpace, ErrnoText.TooManyInProcess, ErrnoText.QuotaExceeded];
    private readonly SortedDictionary<string, SimFile> _files = new(StringComparer.Ordinal);
    private int _shortages;

    /// <summary>The next flush fails, and drops what it should have written, which then looks clean.</summary>
    public bool FailNextFlush { get; set; }

    /// <summary>No file can be made, for want of space, of quota, or of descriptors in turn.</summary>
    public bool IsFull { get; set; }

    public IReadOnlyList<string> List() => [.. _files.Keys];

    public IWalFile Create(string name, long lengthBytes)
    {
        power.Use();
        if (IsFull) throw new IOException("simulated: something is used up", Shortages[_shortages++ % Shortages.Length]);
        var file = new SimFile(this, (int)lengthBytes);
        _files[name] = file;
        return file;
    }

    public IWalFile Open(string name) => _files[name];

    public void Rename(string from, string to)
    {
        power.Use();
        _files.Remove(from, out var file);
        _files[to] = file!;
    }

    public void Delete(string name)
    {
        power.Use();
        _files.Remove(name);
    }

    /// <summary>Flips one bit of what is stored.</summary>
    public void FlipBit(string name, long bit)
    {
        _files[name].Cached[bit / 8] ^= (byte)(1 << (int)(bit % 8));
        _files[name].Durable[bit / 8] ^= (byte)(1 << (int)(bit % 8));
    }

    /// <summary>Damages what is stored, in the cache too: a bit flips, a sector is lost, or a block lands where another belongs.</summary>
    public string? Damage()
    {
        var names = _files.Where(pair => pair.Value.UsedBytes > 0).Select(pair => pair.Key).ToArray();
        if (names.Length == 0) return null;
        var name = names[random.Next(names.Length)];
        var file = _files[name];
        switch (random.Next(3))
        {
            case 0:
                FlipBit(name, random.NextInt64(file.UsedBytes * 8L));
                return "a bit flips in " + name;
            case 1:
                var lost = random.Next((file.UsedBytes + SectorBytes - 1) / SectorBytes) * SectorBytes;
                file.Cached.AsSpan(lost, SectorBytes).Clear();
                file.Durable.AsSpan(lost, SectorBytes).Clear();
                return "a sector is lost in " + name;
            default:
                var blocks = (file.UsedBytes + BlockBytes - 1) / BlockBytes;
                var (from, to) = (random.Next(blocks) * BlockBytes, random.Next(blocks) * BlockBytes);
                file.Cached.AsSpan(from, BlockBytes).CopyTo(file.Cached.AsSpan(to));
                file.Cached.AsSpan(to, BlockBytes).CopyTo(file.Durable.AsSpan(to));
                return "a block is misdirected in " + name;
        }
    }

    public byte[] Image(string name) => _files[name].Cached;

    /// <summary>Loss of power. A kill of the process alone loses nothing here: the system keeps its cache.</summary>
    public void LosePower()
    {
        var keep = random.NextDouble();
        foreach (var file in _files.Values)
        {
            foreach (var sector in file.Dirty)
            {
                if (!random.Chance(keep)) continue;
                file.Cached.AsSpan(sector * SectorBytes, SectorBytes).CopyTo(file.Durable.AsSpan(sector * SectorBytes));
            }

            file.Dirty.Clear();
            file.Durable.CopyTo(file.Cached.AsSpan());
        }
    }

    /// <summary>What is on stable storage, as a copy of the directory has it.</summary>
    public SortedDictionary<string, byte[]> Copy()
    {
        var copy = new SortedDictionary<string, byte[]>(StringComparer.Ordinal);
        foreach (var (name, file) in _files) copy.Add(name, [.. file.Durable]);
        return copy;
    }

    /// <summary>Puts a copy in place of all there is.</summary>
    public void PutBack(IReadOnlyDictionary<string, byte[]> copy)
    {
        _files.Clear();
        foreach (var (name, bytes) in copy)
        {
            var file = new SimFile(this, bytes.Length);
            bytes.CopyTo(file.Cached.AsSpan());
            bytes.CopyTo(file.Durable.AsSpan());
            _files[name] = file;
        }
    }

    private void UsePower() => power.Use();

    private sealed class SimFile(SimDisk disk, int length) : IWalFile
    {
        public byte[] Cached { get; } = new byte[length];

        public byte[] Durable { get; } = new byte[length];

        /// <summary>Sorted, so that the order of draws depends on no hash.</summary>
        public SortedSet<int> Dirty { get; } = [];

        public long LengthBytes => Cached.Length;

        /// <summary>Up to the last byte that is not zero.</summary>
        public int UsedBytes => Cached.AsSpan().LastIndexOfAnyExcept((byte)0) + 1;

        public void Write(long offset, ReadOnlySpan<byte> data)
        {
            disk.UsePower();
            data.CopyTo(Cached.AsSpan((int)offset));
            for (var sector = (int)offset / SectorBytes; sector * SectorBytes < offset + data.Length; sector++) Dirty.Add(sector);
        }

        public void Read(long offset, Span<byte> buffer) => Cached.AsSpan((int)offset, buffer.Length).CopyTo(buffer);

        public void Flush()
        {
            disk.UsePower();
            if (disk.FailNextFlush)
            {
                disk.FailNextFlush = false;
                Dirty.Clear();
                throw new IOException("simulated: the flush failed");
            }

            foreach (var sector in Dirty) Cached.AsSpan(sector * SectorBytes, SectorBytes).CopyTo(Durable.AsSpan(sector * SectorBytes));
            Dirty.Clear();
        }

        public void Dispose()
        {
        }
    }
}
