using RaftMirror.Consensus.Model;
using RaftMirror.Primitives;

namespace RaftMirror.Consensus.Core;

/// <summary>The entries in memory, from <see cref="FirstIndex"/> to <see cref="LastIndex"/>. What a snapshot covers may be gone;
/// of the last one of these the id is kept, as <see cref="Base"/>.</summary>
internal sealed class RaftLog
{
    private readonly List<LogEntry> _entries;
    private EntryId _base;
    private LogEntry[] _sliced = [];

    public RaftLog(EntryId start, IEnumerable<LogEntry> recovered)
    {
        _base = start;
        _entries = [.. recovered];
        var previous = start;
        foreach (var entry in _entries)
        {
            Invariant.Require(entry.Index == previous.Index + 1, "Recovery yields a log without holes.");
            Invariant.Require(entry.Term >= previous.Term, "Terms never fall along a log.");
            previous = entry.Id;
            SizeBytes += entry.SizeBytes;
        }
    }

    /// <summary>The entry before the first one; (0, 0) if nothing is gone.</summary>
    public EntryId Base => _base;

    public ulong FirstIndex => _base.Index + 1;

    public ulong LastIndex => _base.Index + (ulong)_entries.Count;

    public EntryId LastId => _entries.Count == 0 ? _base : _entries[^1].Id;

    /// <summary>Bytes of all entries held.</summary>
    public long SizeBytes { get; private set; }

    public LogEntry this[ulong index] => _entries[Position(index)];

    /// <summary>The term at an index in [Base.Index, LastIndex].</summary>
    public ulong TermAt(ulong index) => index == _base.Index ? _base.Term : this[index].Term;

    /// <summary>True if the log holds exactly this entry, or <paramref name="id"/> is its base.</summary>
    public bool Contains(EntryId id) => id.Index >= _base.Index && id.Index <= LastIndex && TermAt(id.Index) == id.Term;

    public void Append(in LogEntry entry)
    {
        Invariant.Require(entry.Index == LastIndex + 1, "Entries are appended in order.");
        Invariant.Require(entry.Term >= LastId.Term, "Terms never fall along a log.");
        _entries.Add(entry);
        SizeBytes += entry.SizeBytes;
    }

    /// <summary>Drops the entries from <paramref name="index"/> on.</summary>
    public void TruncateFrom(ulong index)
    {
        var position = Position(index);
        for (var i = position; i < _entries.Count; i++) SizeBytes -= _entries[i].SizeBytes;
        _entries.RemoveRange(position, _entries.Count - position);
        _sliced = [];
    }

    /// <summary>Drops the entries up to <paramref name="index"/>, which a snapshot covers.</summary>
    public void CompactTo(ulong index)
    {
        if (index <= _base.Index) return;
        var start = new EntryId(TermAt(index), index);
        var count = Position(index) + 1;
        for (var i = 0; i < count; i++) SizeBytes -= _entries[i].SizeBytes;
        _entries.RemoveRange(0, count);
        _sliced = [];
        _base = start;
    }

    /// <summary>Drops everything: a snapshot whose last entry is <paramref name="start"/> takes its place.</summary>
    public void Reset(EntryId start)
    {
        _entries.Clear();
        _sliced = [];
        SizeBytes = 0;
        _base = start;
    }

    /// <summary>Entries from <paramref name="from"/>, at least one if there is one, bounded in bytes and number. Followers that are equally far, and
    /// the log on disk, get the same array: it is not to be changed.</summary>
    public LogEntry[] Slice(ulong from, int maxBytes, int maxEntries)
    {
        if (from > LastIndex) return [];
        var first = Position(from);
        var end = EndOf(first, maxBytes, maxEntries);
        if (_sliced.Length == end - first && _sliced[0].Index == from) return _sliced;
        _sliced = new LogEntry[end - first];
        _entries.CopyTo(first, _sliced, 0, _sliced.Length);
        return _sliced;
    }

    /// <summary>True if there is more from <paramref name="from"/> on than one slice takes.</summary>
    public bool FillsSlice(ulong from, int maxBytes, int maxEntries) =>
        from <= LastIndex && EndOf(Position(from), maxBytes, maxEntries) < _entries.Count;

    private int EndOf(int first, int maxBytes, int maxEntries)
    {
        var bytes = 0L;
        var end = first;
        for (; end < _entries.Count && end - first < maxEntries; end++)
        {
            bytes += _entries[end].SizeBytes;
            if (end > first && bytes > maxBytes) break;
        }

        return end;
    }

    /// <summary>The last index not above <paramref name="index"/> whose term is not above <paramref name="term"/>: both sides
    /// use it to skip a whole conflicting term in one round trip (Raft paper 5.3, end). What is gone is not looked at.</summary>
    public ulong LastIndexWithTermAtMost(ulong index, ulong term)
    {
        index = Math.Min(index, LastIndex);
        while (index > _base.Index && TermAt(index) > term) index--;
        return index;
    }

    private int Position(ulong index) => checked((int)(index - _base.Index - 1));
}
