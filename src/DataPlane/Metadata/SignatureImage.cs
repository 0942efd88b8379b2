using RaftMirror.DataPlane.Devices;
using RaftMirror.Primitives;

namespace RaftMirror.DataPlane.Metadata;

/// <summary>What stands in the <see cref="SignaturePlaces"/> of a disk, read once. Blocks; one thread.</summary>
internal sealed class SignatureImage
{
    private const int PieceBytes = 1 << 20;

    private readonly List<(ByteRange Range, byte[] Bytes)> _pieces = []; // Only those that hold anything; sorted.

    private SignatureImage(long sizeBytes) => SizeBytes = sizeBytes;

    /// <summary>Size of the disk.</summary>
    public long SizeBytes { get; }

    /// <summary>First byte that is not zero; -1 if there is none.</summary>
    public long FirstData { get; private set; } = -1;

    /// <summary>Reads a disk.</summary>
    /// <returns>Not Ok if a place could not be read: then nobody knows what stands there.</returns>
    public static DeviceStatus Read(IBlockDevice device, out SignatureImage image)
    {
        image = new SignatureImage(device.SizeBytes);
        using var buffer = AlignedBufferPool.Shared.Rent(PieceBytes);
        foreach (var place in SignaturePlaces.Of(device.SizeBytes, device.SectorBytes))
        {
            for (var start = place.Start; start < place.End; start += PieceBytes)
            {
                var bytes = buffer.GetSpan()[..(int)Math.Min(PieceBytes, place.End - start)];
                var status = device.Read(start, bytes);
                if (status != DeviceStatus.Ok) return status;
                image.Take(start, bytes);
            }
        }

        return DeviceStatus.Ok;
    }

    /// <summary>True if those bytes stand there. A place that was not read holds nothing.</summary>
    public bool Has(long position, ReadOnlySpan<byte> magic)
    {
        for (var i = 0; i < magic.Length; i++)
        {
            if (At(position + i) != magic[i]) return false;
        }

        return true;
    }

    /// <summary>One byte.</summary>
    public byte At(long position)
    {
        foreach (var (range, bytes) in _pieces)
        {
            if (position >= range.Start && position < range.End) return bytes[position - range.Start];
        }

        return 0;
    }

    /// <summary>Passes over a range from now on.</summary>
    public void Forget(long start, long lengthBytes)
    {
        foreach (var (range, bytes) in _pieces)
        {
            for (var i = Math.Max(start, range.Start); i < Math.Min(start + lengthBytes, range.End); i++) bytes[i - range.Start] = 0;
        }

        FirstData = -1;
        foreach (var (range, bytes) in _pieces)
        {
            var first = bytes.AsSpan().IndexOfAnyExcept((byte)0);
            if (first < 0) continue;
            FirstData = range.Start + first;
            return;
        }
    }

    private void Take(long start, ReadOnlySpan<byte> bytes)
    {
        var first = bytes.IndexOfAnyExcept((byte)0);
        if (first < 0) return;
        if (FirstData < 0) FirstData = start + first;
        _pieces.Add((new ByteRange(start, bytes.Length), bytes.ToArray()));
    }
}
