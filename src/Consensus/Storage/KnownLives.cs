using System.Buffers.Binary;
using RaftMirror.Consensus.Model;
using RaftMirror.Primitives;

namespace RaftMirror.Consensus.Storage;

/// <summary>
/// peers.known: what this node knows of its peers' lives (design §14.24). Two slots of 16 KiB, written in turn, so that a torn write leaves the
/// one before; the highest generation with a right checksum counts.
/// <code>
///   0  4 magic "RMPK"   4  4 format, 1   8  8 generation  16  4 number of lives  20  8 zero  28  4 CRC of the slot without this field
///  32 56 each life: 2 node, 6 zero, 8 incarnation, 8 start, 16 promised: term, index, 16 forgiven: term, index
/// </code>
/// </summary>
internal sealed class KnownLives : IDisposable
{
    public const string FileName = "peers.known";
    private const int SlotBytes = 16 * 1024;
    private const int HeaderBytes = 32;
    private const int LifeBytes = 56;
    private const int MaxLives = (SlotBytes - HeaderBytes) / LifeBytes;
    private const int CrcOffset = 28;
    private const uint Magic = 0x4B504D52; // "RMPK"
    private const uint Format = 1;
    private readonly IWalStorage _storage;
    private readonly byte[] _slot = new byte[SlotBytes];
    private IWalFile? _file;
    private ulong _generation;
    private bool _isDirty;

    /// <exception cref="WalException">There is a file, and neither slot can be read.</exception>
    public KnownLives(IWalStorage storage)
    {
        _storage = storage;
        if (!storage.List().Contains(FileName)) return;
        _file = storage.Open(FileName);
        Recovered = Read(_file, out _generation)
            ?? throw new WalException(
                $"{FileName}, which says what this node knows of its peers, is damaged. "
                + "Remove this node from the cluster and let it join anew.");
        if (Recovered.Count > 0) _file.Flush(); // A process that was killed may have left it in the system's cache, and it is built on from now on.
    }

    /// <summary>What the file held when it was opened.</summary>
    public IReadOnlyList<KnownLife> Recovered { get; } = [];

    /// <summary>Takes what is to be durable with the next <see cref="Flush"/>.</summary>
    public void Write(KnownLife[] lives)
    {
        Invariant.Require(lives.Length <= MaxLives, "Members are fewer than lives that fit.");
        _file ??= Make();
        _generation++;
        Encode(lives);
        try
        {
            _file.Write((long)(_generation % 2) * SlotBytes, _slot);
        }
        catch (IOException)
        {
            _generation--; // Tried again, it is torn in the same slot: the other one has what was durable.
            throw;
        }

        _isDirty = true;
    }

    /// <summary>An earlier try may have made it and failed only then.</summary>
    private IWalFile Make() => _storage.List().Contains(FileName) ? _storage.Open(FileName) : _storage.Create(FileName, 2 * SlotBytes);

    public void Flush()
    {
        if (!_isDirty) return;
        _file!.Flush();
        _isDirty = false;
    }

    public void Dispose() => _file?.Dispose();

    private static KnownLife[]? Read(IWalFile file, out ulong generation)
    {
        generation = 0;
        KnownLife[]? newest = null;
        var isBlank = true;
        for (var i = 0; i < 2; i++)
        {
            var slot = new byte[SlotBytes];
            if (file.LengthBytes >= 2 * SlotBytes) file.Read((long)i * SlotBytes, slot);
            isBlank &= !slot.AsSpan().ContainsAnyExcept((byte)0);
            if (Decode(slot) is not { } found || (newest is not null && found.Generation < generation)) continue;
            (generation, newest) = found;
        }

        return newest ?? (isBlank && file.LengthBytes >= 2 * SlotBytes ? [] : null); // Made, and the power failed before the first write.
    }

    private static (ulong Generation, KnownLife[] Lives)? Decode(ReadOnlySpan<byte> slot)
    {
        var isSound = BinaryPrimitives.ReadUInt32LittleEndian(slot) == Magic
            && BinaryPrimitives.ReadUInt32LittleEndian(slot[4..]) == Format
            && BinaryPrimitives.ReadUInt32LittleEndian(slot[CrcOffset..]) == CrcOf(slot);
        var count = BinaryPrimitives.ReadUInt32LittleEndian(slot[16..]);
        if (!isSound || count > MaxLives) return null;
        var lives = new KnownLife[count];
        for (var i = 0; i < lives.Length; i++)
        {
            var life = slot.Slice(HeaderBytes + (i * LifeBytes), LifeBytes);
            lives[i] = new KnownLife(
                new NodeId(BinaryPrimitives.ReadUInt16LittleEndian(life)),
                BinaryPrimitives.ReadUInt64LittleEndian(life[8..]),
                BinaryPrimitives.ReadUInt64LittleEndian(life[16..]),
                new Promised(BinaryPrimitives.ReadUInt64LittleEndian(life[24..]), BinaryPrimitives.ReadUInt64LittleEndian(life[32..])),
                new Promised(BinaryPrimitives.ReadUInt64LittleEndian(life[40..]), BinaryPrimitives.ReadUInt64LittleEndian(life[48..])));
        }

        return (BinaryPrimitives.ReadUInt64LittleEndian(slot[8..]), lives);
    }

    private void Encode(KnownLife[] lives)
    {
        var slot = _slot.AsSpan();
        slot.Clear();
        BinaryPrimitives.WriteUInt32LittleEndian(slot, Magic);
        BinaryPrimitives.WriteUInt32LittleEndian(slot[4..], Format);
        BinaryPrimitives.WriteUInt64LittleEndian(slot[8..], _generation);
        BinaryPrimitives.WriteUInt32LittleEndian(slot[16..], (uint)lives.Length);
        for (var i = 0; i < lives.Length; i++)
        {
            var life = slot.Slice(HeaderBytes + (i * LifeBytes), LifeBytes);
            BinaryPrimitives.WriteUInt16LittleEndian(life, lives[i].Node.Value);
            BinaryPrimitives.WriteUInt64LittleEndian(life[8..], lives[i].Incarnation);
            BinaryPrimitives.WriteUInt64LittleEndian(life[16..], lives[i].Start);
            BinaryPrimitives.WriteUInt64LittleEndian(life[24..], lives[i].Promised.Term);
            BinaryPrimitives.WriteUInt64LittleEndian(life[32..], lives[i].Promised.Index);
            BinaryPrimitives.WriteUInt64LittleEndian(life[40..], lives[i].Forgiven.Term);
            BinaryPrimitives.WriteUInt64LittleEndian(life[48..], lives[i].Forgiven.Index);
        }

        BinaryPrimitives.WriteUInt32LittleEndian(slot[CrcOffset..], CrcOf(slot));
    }

    private static uint CrcOf(ReadOnlySpan<byte> slot) => Crc32C.Append(Crc32C.Compute(slot[..CrcOffset]), slot[HeaderBytes..]);
}
