using System.Buffers.Binary;
using Xunit;

namespace RaftMirror.Integration.Tests.Nbd;

/// <summary>What a range of a volume must contain: for each block the version that was acknowledged last, and those that were
/// sent after it without an answer. A sector of a block may hold any of these, and nothing else. One task at a time
/// per block.</summary>
internal sealed class BlockLedger
{
    public const int SectorBytes = 512;

    private readonly List<int>[] _possible;
    private readonly ulong _seed;
    private int _acknowledged;

    /// <param name="offset">Start of the range in the volume.</param>
    /// <param name="length">Its length, a multiple of <paramref name="blockBytes"/>. Blocks that are
    /// verified before they were written must hold zeros, as on disks that no volume used before.</param>
    /// <param name="blockBytes">Bytes of each write.</param>
    /// <param name="seed">Makes contents of different ledgers differ.</param>
    public BlockLedger(long offset, long length, int blockBytes, ulong seed)
    {
        OffsetBytes = offset;
        BlockBytes = blockBytes;
        _seed = seed;
        _possible = [.. Enumerable.Range(0, (int)(length / blockBytes)).Select(_ => new List<int> { 0 })];
    }

    public long OffsetBytes { get; }

    public int BlockBytes { get; }

    public int Blocks => _possible.Length;

    /// <summary>Writes that were acknowledged.</summary>
    public int Acknowledged => Volatile.Read(ref _acknowledged);

    /// <summary>Blocks of which some write was sent and not answered.</summary>
    public int Unanswered => _possible.Count(versions => versions.Count > 1);

    public long OffsetOf(int block) => OffsetBytes + ((long)block * BlockBytes);

    /// <summary>The next version of a block, noted as sent, with its content.</summary>
    public int Send(int block, Span<byte> content)
    {
        var version = _possible[block][^1] + 1;
        _possible[block].Add(version);
        Content(block, version).CopyTo(content);
        return version;
    }

    /// <summary>Notes that a version was acknowledged: older ones may not be read any more.</summary>
    public void Acknowledge(int block, int version)
    {
        _possible[block].RemoveAll(other => other < version);
        Interlocked.Increment(ref _acknowledged);
    }

    /// <summary>Blocks of which a write was sent and not answered, as they were before it and as it would leave them: after a crash a
    /// leg may hold either.</summary>
    public IReadOnlyList<(long OffsetBytes, byte[] Before, byte[] After)> Undecided() =>
        [.. Enumerable.Range(0, Blocks).Where(block => _possible[block].Count > 1)
            .Select(block => (OffsetOf(block), Content(block, _possible[block][0]), Content(block, _possible[block][^1])))];

    /// <summary>Reads the range and checks every sector. What was read is from then on the only right content
    /// where it is clear which version it was.</summary>
    public Task VerifyAsync(NbdClient client, string where) => VerifyAsync(client, where, 0, Blocks);

    /// <summary>The same for blocks from <paramref name="firstBlock"/> to before <paramref name="endBlock"/>.</summary>
    public async Task VerifyAsync(NbdClient client, string where, int firstBlock, int endBlock)
    {
        const int chunkBytes = 1 << 20;
        var blocksPerChunk = Math.Max(1, chunkBytes / BlockBytes);
        var buffer = new byte[blocksPerChunk * BlockBytes];
        for (var first = firstBlock; first < endBlock; first += blocksPerChunk)
        {
            var count = Math.Min(blocksPerChunk, endBlock - first);
            await client.ReadAsync(OffsetOf(first), buffer.AsMemory(0, count * BlockBytes));
            for (var i = 0; i < count; i++) Check(first + i, buffer.AsSpan(i * BlockBytes, BlockBytes), where);
        }
    }

    private void Check(int block, ReadOnlySpan<byte> content, string where)
    {
        Span<byte> expected = stackalloc byte[SectorBytes];
        var seen = new SortedSet<int>();
        for (var sector = 0; sector < BlockBytes / SectorBytes; sector++)
        {
            var actual = content.Slice(sector * SectorBytes, SectorBytes);
            var found = -1;
            foreach (var version in _possible[block])
            {
                Fill(block, sector, version, expected);
                if (!actual.SequenceEqual(expected)) continue;
                found = version;
                break;
            }

            Assert.True(found >= 0, $"{where}: block {block} at {OffsetOf(block)}, sector {sector}, holds "
                + $"{Describe(actual)}; allowed are versions {string.Join(", ", _possible[block])} of block {block}, the first acknowledged");
            seen.Add(found);
        }

        if (seen.Count == 1) _possible[block].RemoveAll(version => version != seen.Min);
    }

    private byte[] Content(int block, int version)
    {
        var content = new byte[BlockBytes];
        for (var sector = 0; sector < BlockBytes / SectorBytes; sector++)
            Fill(block, sector, version, content.AsSpan(sector * SectorBytes, SectorBytes));
        return content;
    }

    private static string Describe(ReadOnlySpan<byte> sector) => sector.ContainsAnyExcept((byte)0)
        ? $"block {BinaryPrimitives.ReadInt32LittleEndian(sector[8..])} version {BinaryPrimitives.ReadInt32LittleEndian(sector[12..])} "
            + $"(seed {BinaryPrimitives.ReadUInt64LittleEndian(sector):x})"
        : "zeros";

    // Version 0 is what a fresh volume holds.
    private void Fill(int block, int sector, int version, Span<byte> target)
    {
        if (version == 0)
        {
            target.Clear();
            return;
        }

        BinaryPrimitives.WriteUInt64LittleEndian(target, _seed);
        BinaryPrimitives.WriteInt32LittleEndian(target[8..], block);
        BinaryPrimitives.WriteInt32LittleEndian(target[12..], version);
        var word = _seed ^ ((ulong)block << 32) ^ ((ulong)version << 8) ^ (ulong)sector;
        for (var i = 16; i < SectorBytes; i += 8)
        {
            word = (word ^ (word >> 31)) * 0x9E3779B97F4A7C15UL;
            BinaryPrimitives.WriteUInt64LittleEndian(target[i..], word);
            word += (ulong)i;
        }
    }
}
