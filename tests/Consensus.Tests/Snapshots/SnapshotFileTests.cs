using RaftMirror.Consensus.Model;
using RaftMirror.Consensus.Snapshots;
using RaftMirror.Primitives;

namespace RaftMirror.Consensus.Tests.Snapshots;

public sealed class SnapshotFileTests
{
    private static readonly EntryId Last = new(3, 77);

    [Fact]
    public void Write_AnyPieces_GivesTheSameBytesAndReadsBack()
    {
        var content = Samples.Content(200_000);
        var files = new List<byte[]>();
        foreach (var piece in new[] { 1, 999, 65_536, 1_000_000 })
        {
            var storage = new MemorySnapshotStorage();
            using var file = storage.Create("x");
            var meta = SnapshotWriter.Write(file, Samples.Cluster, Last, Samples.Three, 99, new Samples.Source(content, piece));
            files.Add(storage.Bytes("x"));
            using var reader = SnapshotReader.Open(storage.Open("x"));
            Assert.Equal((Last, meta.LengthBytes, meta.Crc), (reader.Meta.Last, reader.Meta.LengthBytes, reader.Meta.Crc));
            Assert.Equal((Samples.Cluster, 99UL), (reader.ClusterId, reader.StateChain));
            Assert.Equal(ConfigurationCodec.Encode(Samples.Three), ConfigurationCodec.Encode(reader.Meta.Configuration));
            Assert.Equal(content, Samples.ContentOf(reader));
        }

        Assert.All(files, bytes => Assert.Equal(files[0], bytes));
    }

    [Fact]
    public void Write_KnownState_GivesTheDocumentedBytes()
    {
        var bytes = Small();
        Assert.Equal("524d534e41500001" + "01000000" + "16000000" + "00112233445566778899aabbccddeeff", Convert.ToHexStringLower(bytes[..32]));
        Assert.Equal("03000000000000004d000000000000006300000000000000", Convert.ToHexStringLower(bytes[32..56]));
        Assert.Equal("state", System.Text.Encoding.ASCII.GetString(bytes[78..83]));
        Assert.Equal("01000000" + "01000000" + "0500000000000000", Convert.ToHexStringLower(bytes[83..99]));
        Assert.Equal("524d5346" + "01000000" + "8300000000000000" + "00000000", Convert.ToHexStringLower(bytes[107..127]));
        Assert.Equal(131, bytes.Length);
    }

    [Fact] // Why the checksum that names a snapshot is the footer's, not one over the file.
    public void Crc_OfTwoStates_DiffersThoughThatOfTheWholeFilesDoesNot()
    {
        var (one, other) = (Small("state"), Small("stale"));
        Assert.Equal(Crc32C.Compute(one), Crc32C.Compute(other));
        Assert.NotEqual(Crc32C.Compute(one.AsSpan(0, one.Length - 4)), Crc32C.Compute(other.AsSpan(0, other.Length - 4)));
    }

    [Fact] // Nodes that applied different commands have different chains, even if their states are alike.
    public void Crc_OfTwoChains_Differs()
    {
        var storage = new MemorySnapshotStorage();
        var source = new Samples.Source([1]);
        var one = SnapshotWriter.Write(storage.Create("1"), Samples.Cluster, Last, Samples.Three, 1, source);
        var two = SnapshotWriter.Write(storage.Create("2"), Samples.Cluster, Last, Samples.Three, 2, source);
        Assert.NotEqual(one.Crc, two.Crc);
    }

    [Fact]
    public void Open_AnyBitFlipped_IsRefused()
    {
        var bytes = Small();
        for (var bit = 0; bit < bytes.Length * 8; bit++)
        {
            var changed = bytes.ToArray();
            changed[bit / 8] ^= (byte)(1 << (bit % 8));
            Refused(changed);
        }
    }

    [Fact]
    public void Open_CutAnywhereOrLonger_IsRefused()
    {
        var bytes = Small();
        for (var length = 0; length < bytes.Length; length++)
        {
            Refused(bytes[..length]);
            var zeros = bytes.ToArray(); // What a file looks like whose length was flushed and whose end was not.
            zeros.AsSpan(length).Clear();
            if (!zeros.AsSpan().SequenceEqual(bytes)) Refused(zeros);
        }

        Refused([.. bytes, 0]);
        Refused([.. bytes, .. bytes]);
    }

    [Fact] // Lengths and counts that somebody chose, with the right checksum.
    public void Open_HostileNumbersUnderARightChecksum_AreRefused()
    {
        var bytes = Small();
        foreach (var offset in new[] { 12, 83, 87, 91, 95, 99, 103, 111, 115, 123 })
        {
            foreach (var value in new[] { 1u, 2u, 4u, 6u, 22u, 63u, 0x7FFFFFFFu, 0x80000000u, 0xFFFFFFFFu })
            {
                var changed = bytes.ToArray();
                System.Buffers.Binary.BinaryPrimitives.WriteUInt32LittleEndian(changed.AsSpan(offset), value);
                if (changed.AsSpan().SequenceEqual(bytes)) continue;
                if (offset == 87 && value <= 1) continue;
                System.Buffers.Binary.BinaryPrimitives.WriteUInt32LittleEndian(
                    changed.AsSpan(changed.Length - 4), Crc32C.Compute(changed.AsSpan(0, changed.Length - 4)));
                Refused(changed);
            }
        }
    }

    [Fact]
    public void Open_UnknownOptionalSection_IsSkipped()
    {
        using var reader = SnapshotReader.Open(WithSections((900, false, [9, 9]), (SectionType.StateMachine, true, [1, 2, 3]), (901, false, [])));
        Assert.Equal([1, 2, 3], Samples.ContentOf(reader));
    }

    [Fact]
    public void Open_UnknownRequiredSection_IsRefused()
    {
        var file = WithSections((SectionType.StateMachine, true, [1]), (900, true, [9]));
        var error = Assert.Throws<InvalidDataException>(() => SnapshotReader.Open(file));
        Assert.Contains("type 900", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Open_NoStateOrTwo_IsRefused()
    {
        Assert.Throws<InvalidDataException>(() => SnapshotReader.Open(WithSections((900, false, [1]))));
        Assert.Throws<InvalidDataException>(
            () => SnapshotReader.Open(WithSections((SectionType.StateMachine, true, [1]), (SectionType.StateMachine, true, [1]))));
    }

    [Fact] // The file is read twice: what was checked and what is restored may differ on a failing disk.
    public void OpenState_ContentChangedSinceTheCheck_IsRefusedAtItsEnd()
    {
        var storage = new MemorySnapshotStorage();
        storage.Put("x", Small());
        using var reader = SnapshotReader.Open(storage.Open("x"));
        storage.Flip("x", 80);
        Assert.Throws<InvalidDataException>(() => Samples.ContentOf(reader));
    }

    private static ISnapshotFile WithSections(params (uint Type, bool IsRequired, byte[] Content)[] sections)
    {
        var storage = new MemorySnapshotStorage();
        SnapshotWriter.Write(storage.Create("x"), new SnapshotHeader(Samples.Cluster, Last, 5, 0), Samples.Three, sections);
        return storage.Open("x");
    }

    private static byte[] Small(string state = "state")
    {
        var storage = new MemorySnapshotStorage();
        using var file = storage.Create("x");
        var source = new Samples.Source(System.Text.Encoding.ASCII.GetBytes(state));
        SnapshotWriter.Write(file, Samples.Cluster, Last, new Configuration([new(1)]), 99, source);
        return storage.Bytes("x");
    }

    private static void Refused(byte[] bytes)
    {
        var storage = new MemorySnapshotStorage();
        storage.Put("x", bytes);
        Assert.Throws<InvalidDataException>(() => SnapshotReader.Open(storage.Open("x")));
    }
}
