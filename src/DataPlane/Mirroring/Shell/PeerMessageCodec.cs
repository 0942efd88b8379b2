using System.Buffers.Binary;
using RaftMirror.DataPlane.Mirroring.Core;
using RaftMirror.Primitives;

namespace RaftMirror.DataPlane.Mirroring.Shell;

/// <summary>Bytes of a message between mirror cores, little-endian (docs/formats.md):
/// 0 version (1), 1 kind, 2 reserved (2 bytes, zero), 4 volume u32, 8 from incarnation u64, 16 to incarnation u64, 24 epoch u64,
/// 32 sequence u64, 40 index u64, 48 start i64, 56 length i64, 64 window count u32, 68 windows (start i64, length i64 each); in an
/// OrderAnswer then an age i64 per window, not negative.
/// The transport checks integrity; this checks shape.</summary>
internal static class PeerMessageCodec
{
    /// <summary>Bound of a payload.</summary>
    public const int MaxBytes = 1 << 20;

    private const byte Version = 1;
    private const int HeaderBytes = 68;
    private const int MaxWindows = 64;

    public static byte[] Encode(PeerMessage message)
    {
        var count = message.Windows?.Count ?? 0;
        Invariant.Require(count <= MaxWindows, "Few windows are open at once.");
        var ages = message.Kind == PeerMessageKind.OrderAnswer ? count : 0;
        Invariant.Require((message.Ages?.Count ?? 0) == ages, "An answer has an age per range, others have none.");
        var bytes = new byte[HeaderBytes + (count * 16) + (ages * 8)];
        var span = bytes.AsSpan();
        span[0] = Version;
        span[1] = (byte)message.Kind;
        BinaryPrimitives.WriteUInt32LittleEndian(span[4..], message.Volume);
        BinaryPrimitives.WriteUInt64LittleEndian(span[8..], message.FromIncarnation);
        BinaryPrimitives.WriteUInt64LittleEndian(span[16..], message.ToIncarnation);
        BinaryPrimitives.WriteUInt64LittleEndian(span[24..], message.Epoch);
        BinaryPrimitives.WriteUInt64LittleEndian(span[32..], message.Sequence);
        BinaryPrimitives.WriteUInt64LittleEndian(span[40..], message.Index);
        WriteRange(span[48..], message.Range);
        BinaryPrimitives.WriteUInt32LittleEndian(span[64..], (uint)count);
        for (var i = 0; i < count; i++) WriteRange(span[(HeaderBytes + (i * 16))..], message.Windows![i]);
        for (var i = 0; i < ages; i++) BinaryPrimitives.WriteInt64LittleEndian(span[(HeaderBytes + (count * 16) + (i * 8))..], message.Ages![i]);
        return bytes;
    }

    /// <summary>False for a version, kind or shape that is not known here.</summary>
    public static bool TryDecode(ReadOnlySpan<byte> bytes, out PeerMessage message)
    {
        message = null!;
        if (bytes.Length < HeaderBytes || bytes.Length > MaxBytes || bytes[0] != Version) return false;
        var kind = (PeerMessageKind)bytes[1];
        if (kind is < PeerMessageKind.DrainRequest or > PeerMessageKind.OrderAnswer) return false;
        var count = BinaryPrimitives.ReadUInt32LittleEndian(bytes[64..]);
        var each = kind == PeerMessageKind.OrderAnswer ? 24 : 16;
        if (count > MaxWindows || bytes.Length != HeaderBytes + ((int)count * each)) return false;
        if (!TryReadRange(bytes[48..], out var range)) return false;
        var windows = new ByteRange[count];
        for (var i = 0; i < windows.Length; i++)
        {
            if (!TryReadRange(bytes[(HeaderBytes + (i * 16))..], out windows[i])) return false;
        }

        var ages = new long[each == 24 ? count : 0];
        for (var i = 0; i < ages.Length; i++)
        {
            ages[i] = BinaryPrimitives.ReadInt64LittleEndian(bytes[(HeaderBytes + ((int)count * 16) + (i * 8))..]);
            if (ages[i] < 0) return false;
        }

        message = new PeerMessage(
            kind,
            BinaryPrimitives.ReadUInt32LittleEndian(bytes[4..]),
            BinaryPrimitives.ReadUInt64LittleEndian(bytes[8..]),
            BinaryPrimitives.ReadUInt64LittleEndian(bytes[16..]),
            BinaryPrimitives.ReadUInt64LittleEndian(bytes[24..]),
            BinaryPrimitives.ReadUInt64LittleEndian(bytes[32..]),
            BinaryPrimitives.ReadUInt64LittleEndian(bytes[40..]),
            range,
            windows,
            ages);
        return true;
    }

    private static void WriteRange(Span<byte> to, ByteRange range)
    {
        BinaryPrimitives.WriteInt64LittleEndian(to, range.Start);
        BinaryPrimitives.WriteInt64LittleEndian(to[8..], range.Length);
    }

    private static bool TryReadRange(ReadOnlySpan<byte> from, out ByteRange range)
    {
        range = new ByteRange(BinaryPrimitives.ReadInt64LittleEndian(from), BinaryPrimitives.ReadInt64LittleEndian(from[8..]));
        return range.Start >= 0 && range.Length >= 0 && range.Start <= long.MaxValue - range.Length;
    }
}
