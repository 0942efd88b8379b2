using System.Text;
using RaftMirror.Consensus;
using RaftMirror.Consensus.Model;
using RaftMirror.Primitives;

namespace RaftMirror.Conformance;

/// <summary>One applied command.</summary>
/// <param name="Position">Where it stands.</param>
/// <param name="Epoch">The epoch in which it was appended.</param>
/// <param name="Command">Its text.</param>
public sealed record LedgerEntry(LogPosition Position, ulong Epoch, string Command);

/// <summary>Remembers all that it applied, over snapshots too; answers with position, count and text, so that a result tells
/// where it comes from. A command "#ID: …" is executed once: when it comes again it has the first one's result. Read by any thread.</summary>
public sealed class LedgerMachine : IStateMachine
{
    private readonly Lock _gate = new();
    private readonly List<LedgerEntry> _entries = [];
    private readonly Dictionary<string, int> _places = new(StringComparer.Ordinal);
    private LogPosition _position;
    private ulong _hash;
    private int _restores;

    /// <inheritdoc/>
    public ulong StateHash
    {
        get
        {
            lock (_gate) return _hash;
        }
    }

    /// <summary>How often it was restored from a snapshot.</summary>
    public int Restores => Volatile.Read(ref _restores);

    /// <summary>All that was applied, in order.</summary>
    public IReadOnlyList<LedgerEntry> Entries
    {
        get
        {
            lock (_gate) return [.. _entries];
        }
    }

    /// <summary>The result of a command, as every node computes it.</summary>
    /// <param name="place">0 for the first command of all.</param>
    /// <param name="entry">The command.</param>
    public static string ResultOf(int place, LedgerEntry entry) => $"{place}:{entry.Position}:{Short(entry.Command)}";

    /// <inheritdoc/>
    public ReadOnlyMemory<byte> Apply(LogPosition position, ulong epoch, ReadOnlySpan<byte> command)
    {
        var entry = new LedgerEntry(position, epoch, Encoding.UTF8.GetString(command));
        lock (_gate)
        {
            if (_position.CompareTo(position) >= 0) throw new InvalidOperationException($"{position} is applied after {_position}.");
            _position = position;
            _hash = (((_hash * 31) + position.Value) * 31) + Crc32C.Compute(command);
            if (!Add(entry)) return Encoding.UTF8.GetBytes(ResultOf(_places[IdOf(entry)!], _entries[_places[IdOf(entry)!]]));
            return Encoding.UTF8.GetBytes(ResultOf(_entries.Count - 1, entry));
        }
    }

    /// <inheritdoc/>
    public ISnapshotSource BeginSnapshot()
    {
        lock (_gate) return new View(_hash, _position, [.. _entries]);
    }

    /// <inheritdoc/>
    public void Restore(Stream content)
    {
        using var reader = new BinaryReader(content, Encoding.UTF8, leaveOpen: true);
        lock (_gate)
        {
            _restores++;
            _entries.Clear();
            _places.Clear();
            _hash = reader.ReadUInt64();
            _position = new LogPosition(reader.ReadUInt64());
            for (var count = reader.ReadInt32(); count > 0; count--)
                Add(new LedgerEntry(new LogPosition(reader.ReadUInt64()), reader.ReadUInt64(), reader.ReadString()));
        }
    }

    private static string? IdOf(LedgerEntry entry) =>
        entry.Command.StartsWith('#') ? entry.Command[..entry.Command.IndexOf(':', StringComparison.Ordinal)] : null;

    private bool Add(LedgerEntry entry)
    {
        if (IdOf(entry) is { } id && !_places.TryAdd(id, _entries.Count)) return false;
        _entries.Add(entry);
        return true;
    }

    private static string Short(string text) => text.Length <= 64 ? text : $"{text[..64]} and {text.Length - 64} more";

    private sealed class View(ulong hash, LogPosition position, LedgerEntry[] entries) : ISnapshotSource
    {
        public void WriteTo(Stream destination)
        {
            using var writer = new BinaryWriter(destination, Encoding.UTF8, leaveOpen: true);
            writer.Write(hash);
            writer.Write(position.Value);
            writer.Write(entries.Length);
            foreach (var entry in entries)
            {
                writer.Write(entry.Position.Value);
                writer.Write(entry.Epoch);
                writer.Write(entry.Command);
            }
        }
    }
}
