using RaftMirror.Primitives;

namespace RaftMirror.DataPlane.DirtyRegions.Core;

/// <summary>The dirty log for simulation: the same entries and the same rules of recovery, without FasterLog, disks or tasks.
/// Appended entries are durable from <see cref="Commit"/> on; a crash keeps those and any number of the next. A core.</summary>
public sealed class SimulatedLog(ulong incarnation, ulong generation)
{
    private const int EntriesBeforeCompaction = 256;
    private readonly EntryWriter _writer = new(incarnation, generation);
    private List<byte[]> _entries = [];
    private int _durable;
    private ulong _durableSequence;
    private bool _isOpen;

    /// <summary>Opens the log: from now on a missing entry is a loss.</summary>
    public void Open()
    {
        Invariant.Require(!_isOpen, "A log opens once.");
        _isOpen = true;
        _writer.Snapshot(Add);
        Commit();
    }

    /// <summary>Appends updates in order; they count after <see cref="Commit"/>.</summary>
    public void Append(ReadOnlySpan<RegionUpdate> updates)
    {
        Invariant.Require(_isOpen, "An open log is appended to.");
        _writer.Append(updates, Add);
    }

    /// <summary>Everything appended is durable.</summary>
    public void Commit()
    {
        _durable = _entries.Count;
        _durableSequence = _writer.LastSequence;
        if (_entries.Count <= EntriesBeforeCompaction) return;
        var start = _entries.Count;
        _writer.Snapshot(Add);
        _entries = _entries[start..];
        _durable = _entries.Count;
        _durableSequence = _writer.LastSequence;
    }

    /// <summary>The writer died: of what was not committed, a prefix may have survived.</summary>
    public void Crash(Xoshiro random)
    {
        ArgumentNullException.ThrowIfNull(random);
        var kept = random.Next(_durable, _entries.Count + 1);
        _entries.RemoveRange(kept, _entries.Count - kept);
        _durableSequence += (ulong)(kept - _durable);
        _durable = kept;
    }

    /// <summary>Inverts bits of one byte of an entry, as a fault.</summary>
    public void Flip(Xoshiro random)
    {
        ArgumentNullException.ThrowIfNull(random);
        var entry = _entries[random.Next(_entries.Count)];
        entry[random.Next(entry.Length)] ^= (byte)random.Next(1, 256);
    }

    /// <summary>Takes an entry away, as a fault.</summary>
    public void Lose(Xoshiro random)
    {
        ArgumentNullException.ThrowIfNull(random);
        _entries.RemoveAt(random.Next(_entries.Count));
    }

    /// <summary>What a survivor finds.</summary>
    /// <param name="expectedIncarnation">As committed.</param>
    /// <param name="expectedGeneration">As committed.</param>
    public RecoveredMarks Recover(ulong expectedIncarnation, ulong expectedGeneration)
    {
        var replay = new MarkReplay(expectedIncarnation, expectedGeneration);
        foreach (var entry in _entries) replay.Take(entry);
        if (_isOpen && !replay.Finish(_durableSequence))
            return new RecoveredMarks(true, replay.Doubt, new Dictionary<uint, IReadOnlyList<long>>());
        return new RecoveredMarks(false, null, replay.Marks.ToLists());
    }

    private void Add(ReadOnlySpan<byte> entry) => _entries.Add(entry.ToArray());
}
