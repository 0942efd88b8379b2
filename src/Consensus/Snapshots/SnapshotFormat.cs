using System.Buffers.Binary;
using RaftMirror.Consensus.Model;

namespace RaftMirror.Consensus.Snapshots;

/// <summary>
/// A snapshot's file, little-endian. Written in one pass from front to end; nothing in it differs between nodes (no time, no node,
/// no incarnation), so nodes that snapshot at the same index make the same bytes.
/// <code>
/// header     0  8 magic "RMSNAP\0\1"   8  2 container version, 1  10  2 zero            12  4 bytes of the configuration
///           16 16 cluster id          32  8 term                 40  8 index           48  8 chain over what was applied
///           56  the configuration (ConfigurationCodec), then the sections' contents, one after the other
/// table      per section, in the same order:
///            0  4 type                 4  4 flags: 1 required     8  8 length           16  4 checksum of the content   20 4 zero
/// footer     0  4 magic "RMSF"         4  4 number of sections    8  8 length of the file   16 4 zero   20  4 checksum of all before it
/// </code>
/// Lengths and checksums stand behind the contents because nobody knows them before the contents are written.
///
/// A file that ends with the CRC of everything before it has itself the same CRC whatever it holds (the CRC's residue). So what names
/// a snapshot's content (<see cref="SnapshotMeta.Crc"/>, offers, names of partial files) is the checksum in the footer, never one over the
/// whole file. For the same reason the header has no checksum of its own: behind it, the running CRC would no longer depend on it.
/// </summary>
internal static class SnapshotFormat
{
    public const ushort Version = 1;
    public const int HeaderBytes = 56;
    public const int TableEntryBytes = 24;
    public const int FooterBytes = 24;

    /// <summary>Of the checksum at the very end, which covers all before it.</summary>
    public const int ChecksumBytes = 4;

    /// <summary>Most sections of a file, unknown ones included.</summary>
    public const int MaxSections = 64;

    /// <summary>Longest configuration.</summary>
    public const int MaxConfigurationBytes = 1 << 20;

    /// <summary>Smallest possible file.</summary>
    public const int MinBytes = HeaderBytes + FooterBytes;

    /// <summary>Bytes moved at once.</summary>
    public const int BufferBytes = 64 << 10;

    private const uint RequiredFlag = 1;

    private static ReadOnlySpan<byte> Magic => "RMSNAP\0\u0001"u8;

    private static ReadOnlySpan<byte> FooterMagic => "RMSF"u8;

    public static void WriteHeader(Span<byte> buffer, Guid clusterId, EntryId last, ulong stateChain, int configurationBytes)
    {
        buffer[..HeaderBytes].Clear();
        Magic.CopyTo(buffer);
        BinaryPrimitives.WriteUInt16LittleEndian(buffer[8..], Version);
        BinaryPrimitives.WriteInt32LittleEndian(buffer[12..], configurationBytes);
        clusterId.TryWriteBytes(buffer[16..], bigEndian: true, out _);
        BinaryPrimitives.WriteUInt64LittleEndian(buffer[32..], last.Term);
        BinaryPrimitives.WriteUInt64LittleEndian(buffer[40..], last.Index);
        BinaryPrimitives.WriteUInt64LittleEndian(buffer[48..], stateChain);
    }

    /// <returns>Null, or what is wrong.</returns>
    public static string? TryReadHeader(ReadOnlySpan<byte> buffer, out SnapshotHeader header)
    {
        header = default;
        if (!buffer[..8].SequenceEqual(Magic)) return "it does not begin as a snapshot does";
        var version = BinaryPrimitives.ReadUInt16LittleEndian(buffer[8..]);
        if (version != Version) return $"container version {version} is not known to this version";
        if (BinaryPrimitives.ReadUInt16LittleEndian(buffer[10..]) != 0) return "reserved bytes of the header are not zero";
        var configuration = BinaryPrimitives.ReadInt32LittleEndian(buffer[12..]);
        if (configuration is < 0 or > MaxConfigurationBytes) return $"a configuration of {configuration} bytes";
        header = new SnapshotHeader(
            new Guid(buffer.Slice(16, 16), bigEndian: true),
            new EntryId(BinaryPrimitives.ReadUInt64LittleEndian(buffer[32..]), BinaryPrimitives.ReadUInt64LittleEndian(buffer[40..])),
            BinaryPrimitives.ReadUInt64LittleEndian(buffer[48..]),
            configuration);
        return null;
    }

    public static void WriteTableEntry(Span<byte> buffer, SectionEntry section)
    {
        buffer[..TableEntryBytes].Clear();
        BinaryPrimitives.WriteUInt32LittleEndian(buffer, section.Type);
        BinaryPrimitives.WriteUInt32LittleEndian(buffer[4..], section.IsRequired ? RequiredFlag : 0);
        BinaryPrimitives.WriteInt64LittleEndian(buffer[8..], section.LengthBytes);
        BinaryPrimitives.WriteUInt32LittleEndian(buffer[16..], section.Crc);
    }

    /// <returns>Null, or what is wrong.</returns>
    public static string? TryReadTableEntry(ReadOnlySpan<byte> buffer, out SectionEntry section)
    {
        section = default;
        var flags = BinaryPrimitives.ReadUInt32LittleEndian(buffer[4..]);
        var length = BinaryPrimitives.ReadInt64LittleEndian(buffer[8..]);
        if ((flags & ~RequiredFlag) != 0) return "unknown flags of a section";
        if (length < 0) return "a section of negative length";
        if (BinaryPrimitives.ReadUInt32LittleEndian(buffer[20..]) != 0) return "reserved bytes of a section are not zero";
        section = new SectionEntry(
            BinaryPrimitives.ReadUInt32LittleEndian(buffer), flags == RequiredFlag, length, BinaryPrimitives.ReadUInt32LittleEndian(buffer[16..]));
        return null;
    }

    /// <summary>Writes all of the footer but its checksum.</summary>
    public static void WriteFooter(Span<byte> buffer, int sections, long fileBytes)
    {
        buffer[..FooterBytes].Clear();
        FooterMagic.CopyTo(buffer);
        BinaryPrimitives.WriteInt32LittleEndian(buffer[4..], sections);
        BinaryPrimitives.WriteInt64LittleEndian(buffer[8..], fileBytes);
    }

    /// <returns>Null, or what is wrong.</returns>
    public static string? TryReadFooter(ReadOnlySpan<byte> buffer, long fileBytes, out int sections, out uint crc)
    {
        sections = BinaryPrimitives.ReadInt32LittleEndian(buffer[4..]);
        crc = BinaryPrimitives.ReadUInt32LittleEndian(buffer[20..]);
        if (!buffer[..4].SequenceEqual(FooterMagic)) return "it does not end as a snapshot does";
        if (sections is < 0 or > MaxSections) return $"{sections} sections";
        var length = BinaryPrimitives.ReadInt64LittleEndian(buffer[8..]);
        if (length != fileBytes) return $"it has {fileBytes} bytes and should have {length}";
        return BinaryPrimitives.ReadUInt32LittleEndian(buffer[16..]) == 0 ? null : "reserved bytes of the footer are not zero";
    }
}

/// <summary>What stands at the front of a snapshot.</summary>
internal readonly record struct SnapshotHeader(Guid ClusterId, EntryId Last, ulong StateChain, int ConfigurationBytes);

/// <summary>One part of a snapshot.</summary>
/// <param name="Type">What it holds; see <see cref="SectionType"/>.</param>
/// <param name="IsRequired">Who does not know the type must refuse the snapshot.</param>
/// <param name="LengthBytes">Of the content.</param>
/// <param name="Crc">CRC-32C of the content.</param>
internal readonly record struct SectionEntry(uint Type, bool IsRequired, long LengthBytes, uint Crc);

/// <summary>Types of sections. On disk and wire: never renumber.</summary>
internal static class SectionType
{
    /// <summary>What the state machine wrote.</summary>
    public const uint StateMachine = 1;
}
