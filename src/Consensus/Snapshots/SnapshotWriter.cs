using RaftMirror.Consensus.Model;
using RaftMirror.Primitives;

namespace RaftMirror.Consensus.Snapshots;

/// <summary>Writes one snapshot from front to end; see <see cref="SnapshotFormat"/>. It is a stream, so that a state machine writes
/// a section's content straight through it: no second copy of the state is made. One thread. The whole file is
/// made durable at once, at its end: a flush of the stream does nothing.</summary>
internal sealed class SnapshotWriter : WriteOnlyStream
{
    private readonly ISnapshotFile _file;
    private readonly SnapshotHeader _header;
    private readonly Configuration _configuration;
    private readonly List<SectionEntry> _sections = [];
    private readonly byte[] _buffer = new byte[SnapshotFormat.BufferBytes];
    private int _buffered;
    private long _written;
    private uint _crc;
    private long _sectionBytes;
    private uint _sectionCrc;
    private bool _isInSection;

    private SnapshotWriter(ISnapshotFile file, Guid clusterId, EntryId last, Configuration configuration, ulong stateChain)
    {
        var encoded = ConfigurationCodec.Encode(configuration);
        Invariant.Require(encoded.Length <= SnapshotFormat.MaxConfigurationBytes, "Members are few.");
        _file = file;
        _configuration = configuration;
        _header = new SnapshotHeader(clusterId, last, stateChain, encoded.Length);
        Span<byte> header = stackalloc byte[SnapshotFormat.HeaderBytes];
        SnapshotFormat.WriteHeader(header, clusterId, last, stateChain, encoded.Length);
        Emit(header);
        Emit(encoded);
    }

    /// <summary>Writes a whole snapshot to an empty file. The caller makes it durable.</summary>
    public static SnapshotMeta Write(
        ISnapshotFile file, Guid clusterId, EntryId last, Configuration configuration, ulong stateChain, ISnapshotSource source)
    {
        using var writer = new SnapshotWriter(file, clusterId, last, configuration, stateChain);
        writer.Section(SectionType.StateMachine, isRequired: true, source.WriteTo);
        return writer.Finish();
    }

    /// <summary>Writes a snapshot with any sections: what a later version may do.</summary>
    internal static SnapshotMeta Write(
        ISnapshotFile file, SnapshotHeader header, Configuration configuration, IEnumerable<(uint Type, bool IsRequired, byte[] Content)> sections)
    {
        using var writer = new SnapshotWriter(file, header.ClusterId, header.Last, configuration, header.StateChain);
        foreach (var (type, isRequired, content) in sections) writer.Section(type, isRequired, stream => stream.Write(content));
        return writer.Finish();
    }

    private void Section(uint type, bool isRequired, Action<Stream> write)
    {
        Invariant.Require(_sections.Count < SnapshotFormat.MaxSections, "Sections are few.");
        (_isInSection, _sectionBytes, _sectionCrc) = (true, 0, 0);
        write(this);
        _isInSection = false;
        _sections.Add(new SectionEntry(type, isRequired, _sectionBytes, _sectionCrc));
    }

    private SnapshotMeta Finish()
    {
        Span<byte> buffer = stackalloc byte[SnapshotFormat.TableEntryBytes];
        foreach (var section in _sections)
        {
            SnapshotFormat.WriteTableEntry(buffer, section);
            Emit(buffer);
        }

        var length = _written + SnapshotFormat.FooterBytes;
        SnapshotFormat.WriteFooter(buffer, _sections.Count, length);
        Emit(buffer[..^SnapshotFormat.ChecksumBytes]);
        var crc = _crc;
        System.Buffers.Binary.BinaryPrimitives.WriteUInt32LittleEndian(buffer, crc);
        Emit(buffer[..SnapshotFormat.ChecksumBytes]);
        FlushBuffer();
        Invariant.Require(_file.LengthBytes == length, "The file was empty, and nobody else writes it.");
        return new SnapshotMeta(_header.Last, _configuration, length, crc);
    }

    public override void Write(ReadOnlySpan<byte> buffer)
    {
        Invariant.Require(_isInSection, "A source writes while it is asked to.");
        _sectionCrc = Crc32C.Append(_sectionCrc, buffer);
        _sectionBytes += buffer.Length;
        Emit(buffer);
    }

    public override void WriteByte(byte value) => Write([value]);

    private void Emit(ReadOnlySpan<byte> data)
    {
        _crc = Crc32C.Append(_crc, data);
        _written += data.Length;
        while (data.Length > 0)
        {
            if (_buffered == _buffer.Length) FlushBuffer();
            var count = Math.Min(data.Length, _buffer.Length - _buffered);
            data[..count].CopyTo(_buffer.AsSpan(_buffered));
            _buffered += count;
            data = data[count..];
        }
    }

    private void FlushBuffer()
    {
        _file.Append(_buffer.AsSpan(0, _buffered));
        _buffered = 0;
    }
}
