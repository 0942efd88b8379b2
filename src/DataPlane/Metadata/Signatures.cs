using System.Buffers.Binary;

namespace RaftMirror.DataPlane.Metadata;

/// <summary>Recognises what others put on disks, so that a message can name it. Offsets: each format's own documentation.</summary>
internal static class Signatures
{
    /// <summary>Names what is there.</summary>
    /// <param name="head">The first bytes of the disk, up to 1 MiB.</param>
    /// <param name="tail">The last 4 KiB.</param>
    /// <returns>Null if everything is zero.</returns>
    public static string? Recognise(ReadOnlySpan<byte> head, ReadOnlySpan<byte> tail)
    {
        if (Has(head, 0, "XFSB"u8)) return "an XFS file system";
        if (Has(head, 0x10040, "_BHRfS_M"u8)) return "a btrfs file system";
        if (Has(head, 0x438, [0x53, 0xEF])) return Ext(head);
        for (var sector = 0; sector < 4; sector++)
        {
            if (Has(head, sector * 512, "LABELONE"u8)) return "an LVM physical volume";
        }

        if (Has(head, 4086, "SWAPSPACE2"u8) || Has(head, 4086, "SWAP-SPACE"u8)) return "swap space";
        if (Has(head, 0, [0xFC, 0x4E, 0x2B, 0xA9]) || Has(head, 4096, [0xFC, 0x4E, 0x2B, 0xA9])) return "a member of an md array";
        if (Has(head, 0, [0x4C, 0x55, 0x4B, 0x53, 0xBA, 0xBE])) return "a LUKS encrypted volume";
        if (Has(head, 512, "EFI PART"u8) || Has(head, 4096, "EFI PART"u8)) return "a GPT partition table";
        if (Has(tail, 4096 - 512, "EFI PART"u8) || Has(tail, 0, "EFI PART"u8)) return "a GPT backup partition table";
        if (Has(head, 510, [0x55, 0xAA])) return "an MBR partition table or a boot sector";
        if (head.IndexOfAnyExcept((byte)0) >= 0) return "unknown data in its first MiB";
        return tail.IndexOfAnyExcept((byte)0) >= 0 ? "unknown data in its last 4 KiB" : null;
    }

    private static string Ext(ReadOnlySpan<byte> head)
    {
        var hasJournal = (BinaryPrimitives.ReadUInt32LittleEndian(head[0x45C..]) & 4) != 0;
        var hasExtents = (BinaryPrimitives.ReadUInt32LittleEndian(head[0x460..]) & 0x2C0) != 0;
        return hasExtents ? "an ext4 file system" : hasJournal ? "an ext3 file system" : "an ext2 file system";
    }

    private static bool Has(ReadOnlySpan<byte> bytes, int offset, ReadOnlySpan<byte> magic) =>
        bytes.Length >= offset + magic.Length && bytes.Slice(offset, magic.Length).SequenceEqual(magic);
}
