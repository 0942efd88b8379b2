namespace RaftMirror.DataPlane.Metadata;

/// <summary>Where a signature stands, as a rule over the size of the disk.</summary>
/// <param name="IsFromEnd">Counted from the end.</param>
/// <param name="AlignBytes">From the end: the size is rounded down to a multiple of this first.</param>
/// <param name="OffsetBytes">From the start; or how far before the rounded end.</param>
/// <param name="InsideBytes">Of the magic inside the structure that stands there.</param>
internal readonly record struct SignaturePlace(bool IsFromEnd, long AlignBytes, long OffsetBytes, long InsideBytes = 0)
{
    /// <summary>Where the magic of a disk of that size begins; negative if the disk is too small for it.</summary>
    public long PositionOn(long sizeBytes) =>
        IsFromEnd ? sizeBytes / AlignBytes * AlignBytes - OffsetBytes + InsideBytes : OffsetBytes + InsideBytes;
}

/// <summary>What a format writes to a disk.</summary>
/// <param name="Name">With its article, for a message.</param>
/// <param name="Magic">The bytes.</param>
/// <param name="Places">Where they may stand.</param>
internal sealed record Signature(string Name, byte[] Magic, SignaturePlace[] Places)
{
    /// <summary>Two or three bytes prove little: named only if nothing else was found.</summary>
    public bool IsWeak => Magic.Length < 4;
}

/// <summary>The formats that are known by name. Whatever else stands in <see cref="SignaturePlaces"/> is found too, and called unknown
/// data: a name is a courtesy, not what keeps a disk from being taken. Facts from each format's documentation, and from where blkid(8) and
/// wipefs(8) look.</summary>
internal static class SignatureTable
{
    private const long Kib = 1 << 10;
    private const long Mib = 1 << 20;
    private const long Gib = 1 << 30;

    /// <summary>Positions of a Promise array's record, in sectors from the end.</summary>
    private static readonly int[] PromiseSectors = [16, 63, 255, 256, 399, 591, 675, 735, 911, 951, 974, 991, 3087];

    /// <summary>Sizes of a page, at whose end swap's magic stands.</summary>
    private static readonly long[] PageBytes = [4 * Kib, 8 * Kib, 16 * Kib, 32 * Kib, 64 * Kib];

    /// <summary>All, in no order that matters.</summary>
    public static IReadOnlyList<Signature> All { get; } =
    [
        // Arrays and volume managers.
        Of("a member of an md array (metadata 0.90)", [0xFC, 0x4E, 0x2B, 0xA9], End(64 * Kib, 64 * Kib)),
        Of("a member of an md array (metadata 0.90, big-endian)", [0xA9, 0x2B, 0x4E, 0xFC], End(64 * Kib, 64 * Kib)),
        Of("a member of an md array (metadata 1.0)", [0xFC, 0x4E, 0x2B, 0xA9], End(4 * Kib, 8 * Kib)),
        Of("a member of an md array (metadata 1.1)", [0xFC, 0x4E, 0x2B, 0xA9], At(0)),
        Of("a member of an md array (metadata 1.2)", [0xFC, 0x4E, 0x2B, 0xA9], At(4 * Kib)),
        Of("an LVM physical volume", "LABELONE"u8, At(0), At(512), At(1024), At(1536)),
        Of("an LVM1 physical volume", "HM"u8, At(0)),
        Of("an LVM snapshot's store", "SnAp"u8, At(0)),
        Of("a dm-verity hash area", "verity\0\0"u8, At(0)),
        Of("a dm-integrity volume", "integrt\0"u8, At(0)),
        Of("a VDO volume", "dmvdo001"u8, At(0)),
        Of("a Stratis pool's member", [.. "!Stra0tis"u8, 0x86, 0xFF, 0x02, .. "^Arh"u8], At(516), At(4612)),
        Of("a bcache device", [0xC6, 0x85, 0x73, 0xF6, 0x4E, 0x1A, 0x45, 0xCA, 0x82, 0x65, 0xF5, 0x7F, 0x48, 0xBA, 0x6D, 0x81], At(4 * Kib, 24)),
        Of("a bcachefs file system", [0xC6, 0x85, 0x73, 0xF6, 0x66, 0xCE, 0x90, 0xA9, 0xD9, 0x6A, 0x60, 0xCF, 0x80, 0x3D, 0xF7, 0xEF],
            At(4 * Kib, 24), At(2 * Mib, 24), End(512, Mib, 24)),
        Of("a DRBD device (metadata 8)", [0x83, 0x74, 0x02, 0x6B], Drbd),
        Of("a DRBD device (metadata 8.4, in use)", [0x83, 0x74, 0x02, 0x6C], Drbd),
        Of("a DRBD device (metadata 9)", [0x83, 0x74, 0x02, 0x6D], Drbd),
        Of("a drbdmanage control volume", "$DRBDmgr=q"u8, At(0)),
        Of("a DRBD proxy log", "DRBDdlh*"u8, At(0)),
        Of("an Oracle ASM disk", "ORCLDISK"u8, At(32)),
        Of("a Ceph BlueStore device", "bluestore block device"u8, At(0), At(Gib), At(10 * Gib), At(100 * Gib), At(1000 * Gib)),
        Of("a member of a ZFS pool", [1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1], ZfsLabels(16 * Kib)),
        Of("a member of a ZFS pool", [1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1], ZfsLabels(16 * Kib)),
        Of("a member of a ZFS pool", [0x0C, 0xB1, 0xBA, 0], ZfsUberblocks()),
        Of("a member of a ZFS pool (big-endian)", [0, 0xBA, 0xB1, 0x0C], ZfsUberblocks()),
        Of("an mpool device", "mpoolDev"u8, At(0)),

        // Firmware arrays: records near the end.
        Of("a member of a DDF array", [0xDE, 0x11, 0xDE, 0x11], Sectors(1, 257)),
        Of("a member of a DDF array", [0x11, 0xDE, 0x11, 0xDE], Sectors(1, 257)),
        Of("a member of an Intel array", "Intel Raid ISM Cfg Sig. "u8, End(512, 1024), End(4 * Kib, 8 * Kib)),
        Of("a member of an NVIDIA array", "NVIDIA  "u8, Sectors(2)),
        Of("a member of an LSI array", "$XIDE$"u8, Sectors(1)),
        Of("a member of a Promise array", "Promise Technology, Inc."u8, Sectors(PromiseSectors)),
        Of("a member of an Adaptec array", "DPTM"u8, End(512, 512, 252)),
        Of("a member of a HighPoint array", [0xF3, 0x16, 0x78, 0x5A], End(512, 11 * 512, 32)),
        Of("a member of a HighPoint array", [0xFD, 0x16, 0x78, 0x5A], End(512, 11 * 512, 32), At(4608, 32)),
        Of("a member of a HighPoint array", [0xF0, 0x16, 0x78, 0x5A], At(4608, 32)),
        Of("a member of a Silicon Image array", [0, 0, 0, 0x2F], End(512, 512, 0x60)),
        Of("a member of a JMicron array", "JM"u8, Sectors(1)),

        // Encryption.
        Of("a LUKS encrypted volume", [.. "LUKS"u8, 0xBA, 0xBE], At(0)),
        Of("the second header of a LUKS2 volume", [.. "SKUL"u8, 0xBA, 0xBE],
            At(0x4000), At(0x8000), At(0x10000), At(0x20000), At(0x40000), At(0x80000), At(0x100000), At(0x200000), At(0x400000)),
        Of("a BitLocker volume", "-FVE-FS-"u8, At(3)),
        Of("a FileVault volume", "CS"u8, At(88)),

        // Partition tables.
        Of("a GPT partition table", "EFI PART"u8, At(512), At(1024), At(2048), At(4096)),
        Of("a GPT backup partition table", "EFI PART"u8, End(512, 512), End(1024, 1024), End(2048, 2048), End(4096, 4096)),
        Of("a BSD disk label", [0x57, 0x45, 0x56, 0x82], At(64), At(128), At(512)),
        Of("an SGI disk label", [0x0B, 0xE5, 0xA9, 0x41], At(0)),
        Of("a Sun disk label", [0xDA, 0xBE], At(508)),
        Of("a Mac partition map", "ER"u8, At(0)),
        Of("an AIX physical volume", [0xC9, 0xC2, 0xD4, 0xC1], At(0)),
        Of("an Ultrix disk label", [0x02, 0x29, 0x57], At(16384 - 72)),
        Of("a UnixWare disk label", [0x0D, 0x60, 0xE5, 0xCA], At(29 * 512, 4)),
        Of("a DASD label", [0xE5, 0xD6, 0xD3, 0xF1], At(1024), At(2048), At(4096), At(8192)),
        Of("an MBR partition table or a boot sector", [0x55, 0xAA], At(510)),

        // Swap and suspended systems.
        .. PageBytes.SelectMany(static page => new[]
        {
            Of("swap space", "SWAPSPACE2"u8, At(page - 10)),
            Of("swap space", "SWAP-SPACE"u8, At(page - 10)),
            Of("a suspended system's image", "S1SUSPEND"u8, At(page - 10)),
            Of("a suspended system's image", "S2SUSPEND"u8, At(page - 10)),
            Of("a suspended system's image", "ULSUSPEND"u8, At(page - 10)),
            Of("a suspended system's image", "LINHIB0001"u8, At(page - 10)),
        }),
        Of("a suspended system's image", [0xED, 0xC3, 0x02, 0xE9, 0x98, 0x56, 0xE5, 0x0C], At(0)),

        // File systems.
        Of("an ext2, ext3 or ext4 file system", [0x53, 0xEF], At(1024, 0x38)),
        Of("an XFS file system", "XFSB"u8, At(0)),
        Of("an XFS log", [0xFE, 0xED, 0xBA, 0xBE], At(0), At(512)),
        Of("a btrfs file system", "_BHRfS_M"u8, At(64 * Kib, 64), At(64 * Mib, 64), At(256 * Gib, 64), At(0, 64)),
        Of("a GFS or GFS2 file system", [0x01, 0x16, 0x19, 0x70], At(64 * Kib)),
        Of("an OCFS file system", "OracleCFS"u8, At(8 * Kib)),
        Of("an OCFS2 file system", "OCFSV2"u8, At(1 * Kib), At(2 * Kib), At(4 * Kib), At(8 * Kib)),
        Of("a VMFS volume", [0x0D, 0xD0, 0x01, 0xC0], At(1 * Mib)),
        Of("a VMFS file system", [0x5E, 0xF1, 0xAB, 0x2F], At(2 * Mib)),
        Of("an NTFS file system", "NTFS    "u8, At(3), End(512, 512, 3)),
        Of("an exFAT file system", "EXFAT   "u8, At(3), At(12 * 512, 3)),
        Of("a ReFS file system", [0, 0, 0, .. "ReFS\0"u8], At(0)),
        Of("a FAT file system", "FAT32   "u8, At(0x52), At(6 * 512, 0x52)),
        Of("a FAT file system", "FAT16   "u8, At(0x36)),
        Of("a FAT file system", "FAT12   "u8, At(0x36)),
        Of("a FAT file system", "FAT     "u8, At(0x36)),
        Of("a FAT file system", "MSDOS"u8, At(0x36)),
        Of("a FAT file system", "MSWIN"u8, At(0x52)),
        Of("an ISO 9660 file system", "CD001"u8, At(32 * Kib, 1)),
        Of("a High Sierra file system", "CDROM"u8, At(32 * Kib, 9)),
        Of("a UDF file system", "BEA01"u8, At(32 * Kib, 1), At(34 * Kib, 1), At(36 * Kib, 1)),
        Of("a UDF file system", "NSR02"u8, At(32 * Kib, 1), At(34 * Kib, 1), At(36 * Kib, 1), At(38 * Kib, 1)),
        Of("a UDF file system", "NSR03"u8, At(32 * Kib, 1), At(34 * Kib, 1), At(36 * Kib, 1), At(38 * Kib, 1)),
        Of("an F2FS file system", [0x10, 0x20, 0xF5, 0xF2], At(1 * Kib), At(5 * Kib)),
        Of("a JFS file system", "JFS1"u8, At(32 * Kib), At(60 * Kib)),
        Of("a ReiserFS file system", "ReIsErFs"u8, At(8 * Kib, 0x34), At(8 * Kib, 20), At(64 * Kib, 0x34)),
        Of("a ReiserFS file system", "ReIsEr2Fs"u8, At(64 * Kib, 0x34)),
        Of("a ReiserFS file system", "ReIsEr3Fs"u8, At(64 * Kib, 0x34)),
        Of("a Reiser4 file system", "ReIsEr4"u8, At(64 * Kib)),
        Of("a NILFS2 file system", [0x34, 0x34], At(1024, 6), End(512, 8 * 512, 6), End(4 * Kib, 4 * Kib, 6)),
        Of("an APFS container", "NXSB"u8, At(32)),
        Of("an HFS+ file system", "H+"u8, At(1024), End(512, 1024)),
        Of("an HFSX file system", "HX"u8, At(1024), End(512, 1024)),
        Of("an HFS file system", "BD"u8, At(1024), End(512, 1024)),
        Of("a UFS file system", [0x54, 0x19, 0x01, 0x00], Ufs),
        Of("a UFS2 file system", [0x19, 0x01, 0x54, 0x19], Ufs),
        Of("a UFS file system (big-endian)", [0x00, 0x01, 0x19, 0x54], Ufs),
        Of("a UFS2 file system (big-endian)", [0x19, 0x54, 0x01, 0x19], Ufs),
        Of("a Veritas file system", [0xF5, 0xFC, 0x01, 0xA5], At(1 * Kib)),
        Of("a Veritas file system", [0xA5, 0x01, 0xFC, 0xF5], At(8 * Kib)),
        Of("a Minix file system", [0x7F, 0x13], At(1024, 0x10)),
        Of("a Minix file system", [0x8F, 0x13], At(1024, 0x10)),
        Of("a Minix file system", [0x68, 0x24], At(1024, 0x10)),
        Of("a Minix file system", [0x78, 0x24], At(1024, 0x10)),
        Of("a Minix file system", [0x5A, 0x4D], At(1024, 0x18)),
        Of("a System V file system", [0x20, 0x7E, 0x18, 0xFD], At(1016), At(10 * Kib - 8), At(16 * Kib - 8)),
        Of("an HPFS file system", [0x49, 0xE8, 0x95, 0xF9], At(8 * Kib)),
        Of("a NetWare file system", "SPB5"u8, At(4 * Kib)),
        Of("a BeFS file system", "BFS1"u8, At(0x20), At(0x220)),
        Of("a BeFS file system", "1SFB"u8, At(0x20), At(0x220)),
        Of("an SCO BFS file system", [0xCE, 0xFA, 0xAD, 0x1B], At(0)),
        Of("an EROFS image", [0xE2, 0xE1, 0xF5, 0xE0], At(1 * Kib)),
        Of("a SquashFS image", "hsqs"u8, At(0)),
        Of("a SquashFS image", "sqsh"u8, At(0)),
        Of("a cramfs image", [0x45, 0x3D, 0xCD, 0x28], At(0)),
        Of("a cramfs image", [0x28, 0xCD, 0x3D, 0x45], At(0)),
        Of("a romfs image", "-rom1fs-"u8, At(0)),
        Of("a UBI volume", "UBI#"u8, At(0)),
        Of("a UBIFS file system", [0x31, 0x18, 0x10, 0x06], At(0)),
        Of("a zonefs file system", "SFOZ"u8, At(0)),
        Of("a ScoutFS file system", [0x8B, 0x42, 0x3C, 0x10], At(64 * Kib, 4)),
        Of("an EXFS file system", "EXFS"u8, At(0)),
    ];

    /// <summary>4 KiB before the end, exactly and on a block.</summary>
    private static SignaturePlace[] Drbd => [End(512, 4 * Kib, 60), End(4 * Kib, 4 * Kib, 60)];

    private static SignaturePlace[] Ufs => [At(0, 1372), At(8 * Kib, 1372), At(64 * Kib, 1372), At(256 * Kib, 1372)];

    private static Signature Of(string name, ReadOnlySpan<byte> magic, params SignaturePlace[] places) => new(name, magic.ToArray(), places);

    private static SignaturePlace At(long offset, long inside = 0) => new(false, 1, offset, inside);

    private static SignaturePlace End(long align, long back, long inside = 0) => new(true, align, back, inside);

    private static SignaturePlace[] Sectors(params int[] back) => [.. back.Select(static sectors => End(512, sectors * 512L))];

    /// <summary>Two labels of 256 KiB at the start, two at the end.</summary>
    private static SignaturePlace[] ZfsLabels(long inside) =>
    [
        At(0, inside), At(256 * Kib, inside), End(256 * Kib, 512 * Kib, inside), End(256 * Kib, 256 * Kib, inside),
    ];

    /// <summary>Each label ends in a ring of uberblocks, of 1 KiB or more each.</summary>
    private static SignaturePlace[] ZfsUberblocks() => [.. Enumerable.Range(0, 128).SelectMany(static i => ZfsLabels((128 + i) * Kib))];
}
