using System.Text;
using RaftMirror.DataPlane.Devices;
using RaftMirror.DataPlane.Metadata;
using RaftMirror.Primitives;
using Xunit;

namespace RaftMirror.DataPlane.Tests.Metadata;

/// <summary>What others put on disks is found wherever it can stand, and gone after it was overwritten.</summary>
public sealed class SignatureTests
{
    private const long Kib = 1 << 10, Mib = 1 << 20, Gib = 1 << 30;

    /// <summary>Sizes at which start and end are one, touch, or are apart; not all whole blocks; up to beyond the last copy.</summary>
    private static readonly long[] SizesTried =
    [
        6 * Mib, 12 * Mib, (12 * Mib) + 512, (20 * Mib) + (3 * 512), (100 * Mib) + 4096, (2 * Gib) + 1536, 300 * Gib, (1001 * Gib) + 512,
    ];

    public static TheoryData<long> Sizes { get; } = new(SizesTried);

    // Facts of the formats, written down apart from the product's table: who, where, what.
    public static TheoryData<string, long, long, string> Facts { get; } = new()
    {
        { "md array (metadata 0.90)", (20 * Mib) + 512, (20 * Mib) - (64 * Kib), "fc4e2ba9" },
        { "md array (metadata 1.0)", (20 * Mib) + 512, (20 * Mib) - (8 * Kib), "fc4e2ba9" },
        { "md array (metadata 1.1)", 20 * Mib, 0, "fc4e2ba9" },
        { "md array (metadata 1.2)", 20 * Mib, 4096, "fc4e2ba9" },
        { "LVM physical volume", 20 * Mib, 512, Hex("LABELONE") },
        { "ZFS pool", 100 * Mib, 16 * Kib, "010100000000000000000001" },
        { "ZFS pool", 100 * Mib, (256 + 16) * Kib, "010100000000000000000001" },
        { "ZFS pool", (100 * Mib) + 512, (100 * Mib) - (512 * Kib) + (16 * Kib), "010100000000000000000001" },
        { "ZFS pool", (100 * Mib) + 512, (100 * Mib) - (256 * Kib) + (16 * Kib), "010100000000000000000001" },
        { "ZFS pool", 100 * Mib, (100 * Mib) - (256 * Kib) + (128 * Kib) + 4096, "0cb1ba00" },
        { "LUKS encrypted volume", 20 * Mib, 0, "4c554b53babe" },
        { "second header of a LUKS2", 20 * Mib, 0x4000, "534b554cbabe" },
        { "second header of a LUKS2", 20 * Mib, 0x400000, "534b554cbabe" },
        { "DRBD device (metadata 9)", 20 * Mib, (20 * Mib) - 4096 + 60, "8374026d" },
        { "DRBD device (metadata 8)", (20 * Mib) + 512, (20 * Mib) - 4096 + 60, "8374026b" },
        { "BlueStore", 20 * Mib, 0, Hex("bluestore block device") },
        { "BlueStore", 20 * Gib, 10 * Gib, Hex("bluestore block device") },
        { "bcache device", 20 * Mib, 4096 + 24, "c68573f64e1a45ca8265f57f48ba6d81" },
        { "bcachefs", 20 * Mib, (19 * Mib) + 24, "c68573f666ce90a9d96a60cf803df7ef" },
        { "btrfs", 20 * Mib, 0x10040, Hex("_BHRfS_M") },
        { "btrfs", 100 * Mib, (64 * Mib) + 64, Hex("_BHRfS_M") },
        { "btrfs", 300 * Gib, (256 * Gib) + 64, Hex("_BHRfS_M") },
        { "swap space", 20 * Mib, 4096 - 10, Hex("SWAPSPACE2") },
        { "swap space", 20 * Mib, 65536 - 10, Hex("SWAPSPACE2") },
        { "GPT partition table", 20 * Mib, 512, Hex("EFI PART") },
        { "GPT partition table", 20 * Mib, 4096, Hex("EFI PART") },
        { "GPT backup", (20 * Mib) + 512, 20 * Mib, Hex("EFI PART") },
        { "GPT backup", 20 * Mib, (20 * Mib) - 4096, Hex("EFI PART") },
        { "XFS", 20 * Mib, 0, Hex("XFSB") },
        { "NTFS", 20 * Mib, 3, Hex("NTFS    ") },
        { "NTFS", 20 * Mib, (20 * Mib) - 512 + 3, Hex("NTFS    ") },
        { "FAT", 20 * Mib, 0x52, Hex("FAT32   ") },
        { "ISO 9660", 20 * Mib, 0x8001, Hex("CD001") },
        { "F2FS", 20 * Mib, 1024, "1020f5f2" },
        { "JFS", 20 * Mib, 32 * Kib, Hex("JFS1") },
        { "ReiserFS", 20 * Mib, (64 * Kib) + 0x34, Hex("ReIsEr2Fs") },
        { "NILFS2", (20 * Mib) + 512, (20 * Mib) + 512 - 4096 + 6, "3434" },
        { "GFS", 20 * Mib, 64 * Kib, "01161970" },
        { "OCFS2", 20 * Mib, 8 * Kib, Hex("OCFSV2") },
        { "VMFS", 20 * Mib, Mib, "0dd001c0" },
        { "VMFS", 20 * Mib, 2 * Mib, "5ef1ab2f" },
        { "DDF", 20 * Mib, (20 * Mib) - 512, "de11de11" },
        { "DDF", 20 * Mib, (20 * Mib) - (257 * 512), "de11de11" },
        { "Intel array", 20 * Mib, (20 * Mib) - 1024, Hex("Intel Raid ISM Cfg Sig. ") },
        { "Promise", 20 * Mib, (20 * Mib) - (3087 * 512), Hex("Promise Technology, Inc.") },
        { "ASM", 20 * Mib, 32, Hex("ORCLDISK") },
        { "unknown data", 20 * Mib, 7 * Mib, "01" },
        { "unknown data", 20 * Mib, 17 * Mib, "01" },
        { "unknown data", (20 * Mib) + 512, (20 * Mib) + 511, "01" },
    };

    [Theory]
    [MemberData(nameof(Facts))]
    public void Probe_OthersSignature_IsRefusedByNameAndPlace(string name, long sizeBytes, long position, string magic)
    {
        using var disk = new SparseDevice(sizeBytes);
        disk.Put(position, Convert.FromHexString(magic));
        var result = DiskProbe.Probe(disk, DiskLayout.MinMetadataBytes);
        Assert.Equal(DiskContent.Foreign, result.Content);
        Assert.Contains(name, result.Message, StringComparison.Ordinal);
        Assert.Contains($"at byte {position}", result.Message, StringComparison.Ordinal);
        Assert.Contains("--overwrite", result.Message, StringComparison.Ordinal);
    }

    [Fact] // Where the table says that a signature may stand, somebody looks: else its disk would be taken for blank.
    public void Table_EveryPlaceOnEverySize_IsLookedAt() => Assert.Empty(Missed(static places => places));

    [Fact] // The check above can fail: each of the three kinds of places has signatures that only it shows.
    public void Table_PlacesLeftOut_AreMissed()
    {
        Assert.Contains(Missed(static places => [.. places.SkipLast(1)]), static name => name.Contains("metadata 1.0", StringComparison.Ordinal));
        Assert.Contains(Missed(static places => [.. places.Skip(1)]), static name => name.Contains("XFS", StringComparison.Ordinal));
        Assert.Contains(Missed(static places => [places[0], places[^1]]), static name => name.Contains("btrfs", StringComparison.Ordinal));
    }

    [Theory]
    [MemberData(nameof(Sizes))]
    public void Places_OfAnySize_AreSortedApartAndInside(long sizeBytes)
    {
        foreach (var sector in (int[])[512, 4096])
        {
            var size = sizeBytes / sector * sector;
            var places = SignaturePlaces.Of(size, sector);
            Assert.Equal((0, size), (places[0].Start, places[^1].End));
            for (var i = 0; i < places.Count; i++)
            {
                Assert.True(places[i].Length > 0 && places[i].Start % sector == 0 && places[i].Length % sector == 0, places[i].ToString());
                if (i > 0) Assert.True(places[i].Start > places[i - 1].End, $"{places[i]} touches {places[i - 1]}");
            }
        }
    }

    [Fact]
    public void Probe_Blank_SaysWhereItLooked()
    {
        using var small = new SparseDevice(10 * Mib);
        Assert.EndsWith("is blank: nothing but zeros in all of it", DiskProbe.Probe(small, DiskLayout.MinMetadataBytes).Message, StringComparison.Ordinal);
        using var large = new SparseDevice(20 * Gib);
        var result = DiskProbe.Probe(large, DiskLayout.MinMetadataBytes);
        Assert.Equal(DiskContent.Blank, result.Content);
        Assert.EndsWith("its first 8 MiB, its last 4 MiB and the copies' places at 64 MiB, 1 GiB, 10 GiB", result.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Probe_SeveralFormats_NamesThemAll()
    {
        using var disk = new SparseDevice(20 * Mib);
        disk.Put(512, "EFI PART"u8);
        disk.Put((20 * Mib) - 512, "EFI PART"u8);
        disk.Put(64 * Kib, [0x01, 0x16, 0x19, 0x70]);
        var message = DiskProbe.Probe(disk, DiskLayout.MinMetadataBytes).Message;
        foreach (var name in (string[])["a GPT partition table", "a GPT backup", "a GFS"]) Assert.Contains(name, message, StringComparison.Ordinal);
    }

    [Theory]
    [MemberData(nameof(Sizes))]
    public void Erase_EverySignatureEverywhere_LeavesTheStampAlone(long sizeBytes)
    {
        using var disk = new SparseDevice(sizeBytes);
        foreach (var signature in SignatureTable.All)
        {
            foreach (var place in signature.Places)
            {
                var position = place.PositionOn(disk.SizeBytes);
                if (position >= 0 && position + signature.Magic.Length <= disk.SizeBytes) disk.Put(position, signature.Magic);
            }
        }

        Assert.Equal(DeviceStatus.Ok, ProbeStamp.Write(disk, Guid.CreateVersion7(), out _));
        Assert.Null(SignatureEraser.Erase(disk));
        var tail = DiskLayout.TailLabelOffsetOf(disk.SizeBytes);
        Assert.All(disk.Written, offset => Assert.True(offset < 4096 || (offset >= tail && offset < tail + 4096), $"{offset} is left"));
        Assert.Equal(DiskContent.Stamped, DiskProbe.Probe(disk, DiskLayout.MinMetadataBytes).Content);
    }

    [Fact]
    public void Stamp_OverData_IsPutBackFromWhatWasKept()
    {
        using var disk = new SparseDevice(20 * Mib);
        disk.Put(0, "XFSB"u8);
        disk.Put((20 * Mib) - 512, "EFI PART"u8);
        var before = disk.Written.ToList();
        ProbeStamp.Write(disk, Guid.CreateVersion7(), out var stamp);
        Assert.Null(ProbeStamp.From(disk, [1, 2, 3]));
        Assert.Equal(DeviceStatus.Ok, ProbeStamp.From(disk, stamp!.Kept)!.Restore());
        Assert.Equal(before, disk.Written);
        Assert.Contains("XFS", DiskProbe.Probe(disk, DiskLayout.MinMetadataBytes).Message, StringComparison.Ordinal);
    }

    /// <summary>Signatures that nobody would see on some size if only some of the places were read.</summary>
    private static List<string> Missed(Func<IReadOnlyList<ByteRange>, IReadOnlyList<ByteRange>> changed)
    {
        var missed = new List<string>();
        foreach (var size in SizesTried)
        {
            foreach (var signature in SignatureTable.All)
            {
                foreach (var place in signature.Places)
                {
                    var magic = new ByteRange(place.PositionOn(size), signature.Magic.Length);
                    if (magic.Start < 0 || magic.End > size) continue;
                    if (!changed(SignaturePlaces.Of(size, 512)).Any(range => range.Contains(magic))) missed.Add($"{signature.Name} at {magic} of {size}");
                }
            }
        }

        return missed;
    }

    private static string Hex(string text) => Convert.ToHexStringLower(Encoding.ASCII.GetBytes(text));
}
