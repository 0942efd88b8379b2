using System.Buffers.Binary;
using System.Text;
using RaftMirror.Consensus;
using RaftMirror.Consensus.Model;
using RaftMirror.Primitives;

namespace RaftMirror.Benchmarks.Cluster;

/// <summary>A key-value store in memory. Applying a put of a known key copies the value into place and allocates nothing, so that
/// what is measured is the engine.</summary>
internal sealed class KeyValueMachine : IStateMachine
{
    private static readonly byte[] Ok = [0];
    private readonly Dictionary<string, byte[]> _values = new(StringComparer.Ordinal);
    private byte[] _lastKeyBytes = [];
    private string _lastKey = "";
    private long _applied;

    /// <summary>Puts applied; any thread.</summary>
    public long Applied => Volatile.Read(ref _applied);

    public ulong StateHash { get; private set; }

    public ReadOnlyMemory<byte> Apply(LogPosition position, ulong epoch, ReadOnlySpan<byte> command)
    {
        var keyBytes = BinaryPrimitives.ReadUInt16LittleEndian(command);
        var key = command.Slice(2, keyBytes);
        var value = command[(2 + keyBytes)..];
        if (!key.SequenceEqual(_lastKeyBytes))
        {
            _lastKeyBytes = key.ToArray();
            _lastKey = Encoding.UTF8.GetString(key);
        }

        if (!_values.TryGetValue(_lastKey, out var place) || place.Length != value.Length)
            _values[_lastKey] = place = new byte[value.Length];
        value.CopyTo(place);
        StateHash = (StateHash * 31) + Crc32C.Compute(command) + position.Value;
        Volatile.Write(ref _applied, _applied + 1);
        return Ok;
    }

    public ISnapshotSource BeginSnapshot() =>
        new Snapshot(
            StateHash, _applied,
            [.. _values.OrderBy(pair => pair.Key, StringComparer.Ordinal).Select(pair => (pair.Key, pair.Value.ToArray()))]);

    public void Restore(Stream content)
    {
        using var reader = new BinaryReader(content, Encoding.UTF8, leaveOpen: true);
        _values.Clear();
        StateHash = reader.ReadUInt64();
        Volatile.Write(ref _applied, reader.ReadInt64());
        for (var count = reader.ReadInt32(); count > 0; count--)
        {
            var key = reader.ReadString();
            _values[key] = reader.ReadBytes(reader.ReadInt32());
        }
    }

    private sealed class Snapshot(ulong hash, long applied, (string Key, byte[] Value)[] values) : ISnapshotSource
    {
        public void WriteTo(Stream destination)
        {
            using var writer = new BinaryWriter(destination, Encoding.UTF8, leaveOpen: true);
            writer.Write(hash);
            writer.Write(applied);
            writer.Write(values.Length);
            foreach (var (key, value) in values)
            {
                writer.Write(key);
                writer.Write(value.Length);
                writer.Write(value);
            }
        }
    }
}
