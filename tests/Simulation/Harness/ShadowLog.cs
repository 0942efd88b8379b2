using RaftMirror.Consensus.Core;
using RaftMirror.Consensus.Model;
using RaftMirror.Consensus.Storage;

namespace RaftMirror.Simulation.Harness;

/// <summary>What a node's disk holds, kept by the checker from writes and flushes. It forgets nothing that a snapshot covers.</summary>
internal sealed class ShadowLog
{
    private readonly List<WriteBatch> _pending = [];

    /// <summary>The entry before the first one: a durable snapshot covers it and all before.</summary>
    public EntryId Base { get; private set; }

    public List<LogEntry> Entries { get; private set; } = [];

    public HardState HardState { get; private set; }

    public ulong LastIndex => Base.Index + (ulong)Entries.Count;

    /// <summary>True if the entry, or a snapshot that covers it, is on stable storage.</summary>
    public bool Has(EntryId id) => id.Index <= Base.Index || (id.Index <= LastIndex && Entries[(int)(id.Index - Base.Index) - 1].Id == id);

    public void Written(WriteBatch batch) => _pending.Add(batch);

    /// <param name="sequence">Of the last batch that is in whole; one behind it may be in part.</param>
    public void Flushed(ulong sequence)
    {
        foreach (var batch in _pending.Where(batch => batch.Sequence <= sequence)) Apply(batch);
        _pending.RemoveAll(batch => batch.Sequence <= sequence);
    }

    /// <summary>Takes all of another one's, also what was not flushed.</summary>
    public void Become(ShadowLog other)
    {
        Reset(other.HardState, other.Base, other.Entries);
        _pending.AddRange(other._pending);
    }

    public void Reset(HardState hardState, EntryId start, IEnumerable<LogEntry> entries)
    {
        _pending.Clear();
        HardState = hardState;
        Base = start;
        Entries = [.. entries];
    }

    /// <summary>Null if this is the durable log plus some of what was written and not flushed, in order: whole batches, and of one more
    /// its first entries, since a batch may be several frames. Compaction may have taken entries from the front.</summary>
    public string? WhyImpossible(RecoveredLog found)
    {
        var state = new ShadowLog();
        state.Reset(HardState, Base, Entries);
        if (state.Matches(found, state.LastIndex)) return null;
        foreach (var batch in _pending)
        {
            state.Apply(batch);
            if (state.Matches(found, batch.Previous.Index + (ulong)Math.Min(1, batch.Entries.Length))) return null;
        }

        return $"recovered were entries to {found.Base.Index + (ulong)found.Entries.Count} behind {found.Base}, {found.HardState}; "
            + $"durable were entries to {LastIndex} behind {Base}, {HardState}";
    }

    private bool Matches(RecoveredLog found, ulong atLeast)
    {
        if (found.HardState.Term != HardState.Term || found.HardState.Vote != HardState.Vote) return false;
        var last = found.Base.Index + (ulong)found.Entries.Count;
        if (found.Base.Index < Base.Index || last < atLeast || last > LastIndex) return false;
        if (found.Base.Index == Base.Index ? found.Base != Base : !Has(found.Base)) return false;
        var skipped = (int)(found.Base.Index - Base.Index);
        for (var i = 0; i < found.Entries.Count; i++)
        {
            var (now, was) = (found.Entries[i], Entries[skipped + i]);
            if (now.Id != was.Id || now.Type != was.Type || !now.Payload.Span.SequenceEqual(was.Payload.Span)) return false;
        }

        return true;
    }

    private void Apply(WriteBatch batch)
    {
        HardState = batch.HardState;
        if (batch.IsReset)
        {
            Base = batch.Previous;
            Entries = [.. batch.Entries];
            return;
        }

        if (batch.Entries.Length == 0) return;
        var kept = (int)(batch.Previous.Index - Base.Index);
        Entries.RemoveRange(kept, Entries.Count - kept);
        Entries.AddRange(batch.Entries);
    }
}
