using RaftMirror.Consensus.Storage;
using RaftMirror.Primitives;

namespace RaftMirror.Consensus.Tests.Storage;

/// <summary>What becomes of sectors that were written and not flushed when the power fails.</summary>
internal enum UnflushedSectors
{
    Kept,
    Lost,
    Mixed,
}

/// <summary>Files with a cached and a durable image. The n-th operation that changes something fails: once, or it is the last one of all.</summary>
/// <param name="failAt">1 and up; 0 for never.</param>
/// <param name="isCrash">After the failure nothing works any more.</param>
internal sealed class FaultyStorage(int failAt, bool isCrash) : IWalStorage
{
    private const int SectorBytes = 512;
    private readonly SortedDictionary<string, Image> _files = new(StringComparer.Ordinal);

    /// <summary>Changing operations so far.</summary>
    public int Operations { get; private set; }

    public bool HasFailed { get; private set; }

    private bool IsCrash => isCrash;

    /// <summary>The files after the process died, or the power failed.</summary>
    public MemoryStorage After(UnflushedSectors unflushed, ulong seed)
    {
        var random = new Xoshiro(seed);
        var result = new MemoryStorage();
        foreach (var (name, file) in _files)
        {
            var bytes = (byte[])(unflushed == UnflushedSectors.Kept ? file.Cached : file.Durable).Clone();
            foreach (var sector in file.Dirty)
            {
                if (unflushed != UnflushedSectors.Mixed || !random.Chance(0.5)) continue;
                file.Cached.AsSpan(sector * SectorBytes, SectorBytes).CopyTo(bytes.AsSpan(sector * SectorBytes));
            }

            result.Files.Add(name, bytes);
        }

        return result;
    }

    /// <summary>Takes files over, all of them durable.</summary>
    public void Load(MemoryStorage image)
    {
        foreach (var (name, bytes) in image.Files)
        {
            var file = new Image(this, bytes.Length);
            bytes.CopyTo(file.Cached.AsSpan());
            bytes.CopyTo(file.Durable.AsSpan());
            _files.Add(name, file);
        }
    }

    public IReadOnlyList<string> List() => [.. _files.Keys];

    public IWalFile Create(string name, long lengthBytes)
    {
        Count();
        var image = new Image(this, (int)lengthBytes);
        _files.Add(name, image);
        return image;
    }

    public IWalFile Open(string name) => _files[name];

    public void Rename(string from, string to)
    {
        Count();
        _files.Remove(from, out var file);
        _files[to] = file!;
    }

    public void Delete(string name)
    {
        Count();
        if (!_files.Remove(name)) throw new IOException($"{name} is not there.");
    }

    private void Count()
    {
        Operations++;
        if (Operations == failAt) HasFailed = true;
        if (Operations == failAt || (isCrash && HasFailed)) throw new IOException($"operation {Operations} was made to fail");
    }

    private sealed class Image(FaultyStorage storage, int length) : IWalFile
    {
        public byte[] Cached { get; } = new byte[length];

        public byte[] Durable { get; } = new byte[length];

        public SortedSet<int> Dirty { get; } = [];

        public long LengthBytes => Cached.Length;

        public void Write(long offset, ReadOnlySpan<byte> data)
        {
            // A write that fails may have been carried out in part: Mixed tells what of it is there.
            data.CopyTo(Cached.AsSpan((int)offset));
            for (var sector = (int)offset / SectorBytes; sector * SectorBytes < offset + data.Length; sector++) Dirty.Add(sector);
            storage.Count();
        }

        public void Read(long offset, Span<byte> buffer) => Cached.AsSpan((int)offset, buffer.Length).CopyTo(buffer);

        public void Flush()
        {
            try
            {
                storage.Count();
            }
            catch (IOException)
            {
                if (!storage.IsCrash) Dirty.Clear(); // As Linux does: the pages look clean, and the disk does not have them.
                throw;
            }

            foreach (var sector in Dirty) Cached.AsSpan(sector * SectorBytes, SectorBytes).CopyTo(Durable.AsSpan(sector * SectorBytes));
            Dirty.Clear();
        }

        public void Dispose()
        {
        }
    }
}
