using RaftMirror.Consensus.Snapshots;
using RaftMirror.Primitives;

namespace RaftMirror.Consensus.Tests.Snapshots;

/// <summary>The power went, in the middle of something.</summary>
public sealed class PowerLossException : Exception
{
    public PowerLossException()
        : base("simulated: the power went")
    {
    }

    public PowerLossException(string message)
        : base(message)
    {
    }

    public PowerLossException(string message, Exception innerException)
        : base(message, innerException)
    {
    }
}

/// <summary>A directory with two images: what the system shows and what is on stable storage. After loss of power each name and each
/// sector of 512 bytes that was not flushed is the old or the new one, and a length is anywhere between.</summary>
internal sealed class MemorySnapshotStorage(ulong seed = 1) : ISnapshotStorage
{
    private const int SectorBytes = 512;
    private readonly Xoshiro _random = new(seed);
    private readonly SortedDictionary<string, Image> _shown = new(StringComparer.Ordinal);
    private SortedDictionary<string, Image> _durable = new(StringComparer.Ordinal);

    /// <summary>Changes made so far.</summary>
    public int Steps { get; private set; }

    /// <summary>The change that does not end.</summary>
    public int LosePowerAtStep { get; set; } = int.MaxValue;

    public bool FailNextSync { get; set; }

    public byte[] Bytes(string name) => [.. _shown[name].Shown];

    public void Put(string name, byte[] bytes)
    {
        var image = new Image();
        image.Shown.AddRange(bytes);
        image.Durable.AddRange(bytes);
        _shown[name] = _durable[name] = image;
    }

    public void Flip(string name, int offset) => _shown[name].Shown[offset] ^= 0x10;

    public IReadOnlyList<string> List() => [.. _shown.Keys];

    public ISnapshotFile Create(string name)
    {
        var image = new Image();
        Change(() => _shown[name] = image);
        return new Handle(this, image);
    }

    public ISnapshotFile Open(string name) =>
        _shown.TryGetValue(name, out var image) ? new Handle(this, image) : throw new FileNotFoundException(name);

    public void Rename(string from, string to)
    {
        Change(() =>
        {
            _shown[to] = _shown[from];
            _shown.Remove(from);
        });
        Change(() => _durable = new SortedDictionary<string, Image>(_shown, StringComparer.Ordinal));
    }

    public void Delete(string name) => Change(() => _shown.Remove(name));

    public void LosePower()
    {
        foreach (var name in _shown.Keys.Union(_durable.Keys).ToArray())
        {
            var isOld = _random.Chance(0.5);
            var image = (isOld ? _durable : _shown).GetValueOrDefault(name);
            if (image is null) _shown.Remove(name);
            else _shown[name] = image;
        }

        foreach (var image in _shown.Values) image.LosePower(_random);
        _durable = new SortedDictionary<string, Image>(_shown, StringComparer.Ordinal);
        LosePowerAtStep = int.MaxValue;
    }

    private void Change(Action change)
    {
        if (Steps++ == LosePowerAtStep)
        {
            if (_random.Chance(0.5)) change();
            throw new PowerLossException();
        }

        change();
    }

    private sealed class Image
    {
        public List<byte> Shown { get; } = [];

        public List<byte> Durable { get; } = [];

        public void LosePower(Xoshiro random)
        {
            var (low, high) = (Math.Min(Shown.Count, Durable.Count), Math.Max(Shown.Count, Durable.Count));
            var length = random.Next(low, high + 1);
            var bytes = new byte[length];
            for (var sector = 0; sector < length; sector += SectorBytes)
            {
                var source = random.Chance(0.5) ? Shown : Durable;
                for (var i = sector; i < Math.Min(sector + SectorBytes, length); i++) bytes[i] = i < source.Count ? source[i] : (byte)0;
            }

            Shown.Clear();
            Shown.AddRange(bytes);
            Durable.Clear();
            Durable.AddRange(bytes);
        }
    }

    private sealed class Handle(MemorySnapshotStorage storage, Image image) : ISnapshotFile
    {
        public long LengthBytes => image.Shown.Count;

        public void Append(ReadOnlySpan<byte> data)
        {
            var bytes = data.ToArray();
            storage.Change(() => image.Shown.AddRange(bytes));
        }

        public void Read(long offset, Span<byte> buffer)
        {
            if (offset + buffer.Length > image.Shown.Count) throw new IOException("The file ends before.");
            System.Runtime.InteropServices.CollectionsMarshal.AsSpan(image.Shown).Slice((int)offset, buffer.Length).CopyTo(buffer);
        }

        public void Truncate(long lengthBytes) =>
            storage.Change(() => image.Shown.RemoveRange((int)lengthBytes, image.Shown.Count - (int)lengthBytes));

        public void Sync()
        {
            if (storage.FailNextSync)
            {
                storage.FailNextSync = false;
                throw new IOException("simulated: the flush failed");
            }

            storage.Change(() =>
            {
                image.Durable.Clear();
                image.Durable.AddRange(image.Shown);
            });
        }

        public void Dispose()
        {
        }
    }
}
