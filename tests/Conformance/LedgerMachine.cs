using System.Text;
using RaftMirror.Consensus;
using RaftMirror.Primitives;

namespace RaftMirror.Conformance;

/// <summary>One applied command.</summary>
/// <param name="Position">Where it stands.</param>
/// <param name="Epoch">The epoch in which it was appended.</param>
/// <param name="Command">Its text.</param>
public sealed record LedgerEntry(LogPosition Position, ulong Epoch, string Command);

/// <summary>Remembers all that it applied, over snapshots too; answers with position, count and text, so that a result tells
/// where it comes from. Read by any thread.</summary>
public sealed class LedgerMachine : IStateMachine
{
    private readonly Lock _gate = new();
    private readonly List<LedgerEntry> _entries = [];
    private ulong _hash;
    private int _applied;
    private int _restores;

    /// <inheritdoc/>
    public ulong StateHash
    {
        get
        {
            lock (_gate) return _hash;
        }
    }

    /// <summary>Commands applied by this object, restored ones not counted.</summary>
    public int AppliedHere => Volatile.Read(ref _applied);

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
            if (_entries.Count > 0 && _entries[^1].Position.CompareTo(position) >= 0)
                throw new InvalidOperationException($"{position} is applied after {_entries[^1].Position}.");
            _entries.Add(entry);
            _hash = (((_hash * 31) + position.Value) * 31) + Crc32C.Compute(command);
            _applied++;
            return Encoding.UTF8.GetBytes(ResultOf(_entries.Count - 1, entry));
        }
    }

    /// <inheritdoc/>
    public ISnapshotSource BeginSnapshot()
    {
        lock (_gate) return new View(_hash, [.. _entries]);
    }

    /// <inheritdoc/>
    public void Restore(Stream content)
    {
        using var reader = new BinaryReader(content, Encoding.UTF8, leaveOpen: true);
        lock (_gate)
        {
            _restores++;
            _entries.Clear();
            _hash = reader.ReadUInt64();
            for (var count = reader.ReadInt32(); count > 0; count--)
                _entries.Add(new LedgerEntry(new LogPosition(reader.ReadUInt64()), reader.ReadUInt64(), reader.ReadString()));
        }
    }

    private static string Short(string text) => text.Length <= 64 ? text : $"{text[..64]} and {text.Length - 64} more";

    private sealed class View(ulong hash, LedgerEntry[] entries) : ISnapshotSource
    {
        public void WriteTo(Stream destination)
        {
            using var writer = new BinaryWriter(destination, Encoding.UTF8, leaveOpen: true);
            writer.Write(hash);
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
