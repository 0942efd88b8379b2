using RaftMirror.Consensus.Model;
using RaftMirror.Primitives;

namespace RaftMirror.Consensus.Snapshots;

/// <summary>A snapshot whose every byte was checked when it was opened. Keeps its file open: the name may go meanwhile. One thread.</summary>
internal sealed class SnapshotReader : IDisposable
{
    private readonly ISnapshotFile _file;
    private readonly SectionEntry _state;
    private readonly long _stateOffset;

    private SnapshotReader(ISnapshotFile file, SnapshotHeader header, SnapshotMeta meta, SectionEntry state, long stateOffset)
    {
        _file = file;
        _state = state;
        _stateOffset = stateOffset;
        ClusterId = header.ClusterId;
        StateChain = header.StateChain;
        Meta = meta;
    }

    public SnapshotMeta Meta { get; }

    public Guid ClusterId { get; }

    /// <summary>What the writer's caller gave: the chain over everything applied up to <see cref="SnapshotMeta.Last"/>.</summary>
    public ulong StateChain { get; }

    /// <summary>Checks a whole file, before anything of it is believed.</summary>
    /// <param name="file">Owned by the reader, or disposed if the file is refused.</param>
    /// <exception cref="InvalidDataException">It is damaged, or of a later version, and says why.</exception>
    /// <exception cref="IOException">It cannot be read.</exception>
    public static SnapshotReader Open(ISnapshotFile file)
    {
        try
        {
            return Verify(file);
        }
        catch
        {
            file.Dispose();
            throw;
        }
    }

    /// <summary>Puts the state in place of the machine's.</summary>
    /// <exception cref="InvalidDataException">The machine refuses it, or does not read all of it, or the file reads differently from when
    /// it was checked: the node must stop.</exception>
    public void RestoreInto(IStateMachine machine)
    {
        using var content = OpenState();
        machine.Restore(content);
        if (content.ReadByte() >= 0) throw new InvalidDataException("The state machine left a part of its snapshot unread.");
    }

    /// <summary>The state machine's section, and no more. Whoever reads to the end knows that it is what was checked.</summary>
    public Stream OpenState() => new SectionStream(_file, _stateOffset, _state.LengthBytes, _state.Crc);

    public void Dispose() => _file.Dispose();

    private static SnapshotReader Verify(ISnapshotFile file)
    {
        var length = file.LengthBytes;
        if (length < SnapshotFormat.MinBytes) throw Refuse($"it has {length} bytes, too few for any");
        Span<byte> fixedPart = stackalloc byte[SnapshotFormat.HeaderBytes];
        file.Read(0, fixedPart);
        Check(SnapshotFormat.TryReadHeader(fixedPart, out var header));
        Span<byte> footer = stackalloc byte[SnapshotFormat.FooterBytes];
        file.Read(length - SnapshotFormat.FooterBytes, footer);
        Check(SnapshotFormat.TryReadFooter(footer, length, out var count, out var crc));
        var table = length - SnapshotFormat.FooterBytes - ((long)count * SnapshotFormat.TableEntryBytes);
        var contents = SnapshotFormat.HeaderBytes + (long)header.ConfigurationBytes;
        if (contents > table) throw Refuse("its parts are longer than the file");

        var buffer = new byte[SnapshotFormat.BufferBytes];
        if (Checksum(file, 0, length - SnapshotFormat.ChecksumBytes, buffer) != crc) throw Refuse("its checksum is wrong");
        var encoded = new byte[header.ConfigurationBytes];
        file.Read(SnapshotFormat.HeaderBytes, encoded);
        Check(ConfigurationCodec.TryDecode(encoded, out var configuration));
        var state = ReadTable(file, table, count, contents, buffer, out var stateOffset);
        return new SnapshotReader(file, header, new SnapshotMeta(header.Last, configuration, length, crc), state, stateOffset);
    }

    private static SectionEntry ReadTable(ISnapshotFile file, long table, int count, long offset, byte[] buffer, out long stateOffset)
    {
        SectionEntry? state = null;
        stateOffset = 0;
        Span<byte> entry = stackalloc byte[SnapshotFormat.TableEntryBytes];
        for (var i = 0; i < count; i++)
        {
            file.Read(table + ((long)i * SnapshotFormat.TableEntryBytes), entry);
            Check(SnapshotFormat.TryReadTableEntry(entry, out var section));
            if (section.LengthBytes > table - offset) throw Refuse("a section is longer than the file");
            if (Checksum(file, offset, section.LengthBytes, buffer) != section.Crc) throw Refuse($"the checksum of section {i} is wrong");
            if (section.Type == SectionType.StateMachine)
            {
                if (state is not null) throw Refuse("it holds two states");
                (state, stateOffset) = (section, offset);
            }
            else if (section.IsRequired)
            {
                throw Refuse($"it has a section of type {section.Type}, which this version does not know and must");
            }

            offset += section.LengthBytes;
        }

        if (offset != table) throw Refuse("bytes lie between its sections and their table");
        return state ?? throw Refuse("it holds no state");
    }

    private static uint Checksum(ISnapshotFile file, long offset, long lengthBytes, byte[] buffer)
    {
        uint crc = 0;
        while (lengthBytes > 0)
        {
            var part = buffer.AsSpan(0, (int)Math.Min(buffer.Length, lengthBytes));
            file.Read(offset, part);
            crc = Crc32C.Append(crc, part);
            offset += part.Length;
            lengthBytes -= part.Length;
        }

        return crc;
    }

    private static void Check(string? error)
    {
        if (error is not null) throw Refuse(error);
    }

    private static InvalidDataException Refuse(string why) => new($"This is no sound snapshot: {why}.");
}
