using RaftMirror.Primitives;

namespace RaftMirror.Consensus.Core;

/// <summary>The entries in memory, index 1 to <see cref="LastIndex"/>: nothing is compacted yet.</summary>
internal sealed class RaftLog
{
    private readonly List<LogEntry> _entries;

    public RaftLog(IEnumerable<LogEntry> recovered)
    {
        _entries = [.. recovered];
        for (var i = 0; i < _entries.Count; i++)
        {
            Invariant.Require(_entries[i].Index == (ulong)i + 1, "Recovery yields a log without holes.");
            Invariant.Require(i == 0 || _entries[i].Term >= _entries[i - 1].Term, "Terms never fall along a log.");
        }
    }

    public ulong LastIndex => (ulong)_entries.Count;

    public EntryId LastId => _entries.Count == 0 ? default : _entries[^1].Id;

    public LogEntry this[ulong index] => _entries[checked((int)(index - 1))];

    /// <summary>The term at an index in [0, LastIndex]; 0 before the first entry.</summary>
    public ulong TermAt(ulong index) => index == 0 ? 0 : this[index].Term;

    /// <summary>True if the log holds exactly this entry, or <paramref name="id"/> stands before the first one.</summary>
    public bool Contains(EntryId id) => id.Index <= LastIndex && TermAt(id.Index) == id.Term;

    public void Append(LogEntry entry)
    {
        Invariant.Require(entry.Index == LastIndex + 1, "Entries are appended in order.");
        Invariant.Require(entry.Term >= LastId.Term, "Terms never fall along a log.");
        _entries.Add(entry);
    }

    /// <summary>Drops the entries from <paramref name="index"/> on.</summary>
    public void TruncateFrom(ulong index) => _entries.RemoveRange((int)(index - 1), (int)(LastIndex - index + 1));

    /// <summary>Entries from <paramref name="from"/>, at least one if there is one, bounded in bytes and number.</summary>
    public LogEntry[] Slice(ulong from, int maxBytes, int maxEntries)
    {
        if (from > LastIndex) return [];
        var bytes = 0;
        var count = 0;
        for (var index = from; index <= LastIndex && count < maxEntries; index++)
        {
            bytes += this[index].SizeBytes;
            if (count > 0 && bytes > maxBytes) break;
            count++;
        }

        return [.. _entries.GetRange((int)(from - 1), count)];
    }

    /// <summary>The last index not above <paramref name="index"/> whose term is not above <paramref name="term"/>: both sides
    /// use it to skip a whole conflicting term in one round trip (Raft paper 5.3, end).</summary>
    public ulong LastIndexWithTermAtMost(ulong index, ulong term)
    {
        index = Math.Min(index, LastIndex);
        while (index > 0 && TermAt(index) > term) index--;
        return index;
    }
}
