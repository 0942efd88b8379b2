using RaftMirror.Consensus.Core;
using RaftMirror.Consensus.Model;

namespace RaftMirror.Consensus.Tests.Storage;

/// <summary>What a log must hold, kept beside it: the state after each frame, and which frame was the last one flushed.</summary>
internal sealed class WalModel
{
    private readonly List<(HardState HardState, EntryId Base, LogEntry[] Entries)> _states = [(default, default, [])];

    /// <summary>The last frame that a flush reported durable.</summary>
    public ulong Durable { get; set; }

    /// <summary>A snapshot covers entries up to this one.</summary>
    public ulong CompactedTo { get; set; }

    public ulong LastFrame => (ulong)_states.Count - 1;

    public HardState HardState => _states[^1].HardState;

    public EntryId LastId => LastIn(_states[^1].Base, _states[^1].Entries);

    public WalModel Copy()
    {
        var copy = new WalModel { Durable = Durable, CompactedTo = CompactedTo };
        copy._states.AddRange(_states.Skip(1));
        return copy;
    }

    public EntryId IdAt(ulong index)
    {
        var (_, start, entries) = _states[^1];
        return index == start.Index ? start : entries[index - start.Index - 1].Id;
    }

    /// <summary>A batch of one frame was handed to the log, or is about to be.</summary>
    public void Written(WriteBatch batch)
    {
        var (_, start, entries) = _states[^1];
        if (batch.IsReset) (start, entries) = (batch.Previous, []);
        LogEntry[] after = [.. entries.Take((int)(batch.Previous.Index - start.Index)), .. batch.Entries];
        _states.Add((batch.HardState, start, after));
    }

    /// <summary>Later frames never were: the log was opened and goes on from here.</summary>
    public void Reopened(ulong sequence)
    {
        _states.RemoveRange((int)sequence + 1, _states.Count - (int)sequence - 1);
        Durable = sequence;
    }

    /// <summary>The state after exactly one of the frames, and not one before the last durable one.</summary>
    public void RequireExact(ulong sequence, HardState hardState, EntryId start, IReadOnlyList<LogEntry> entries)
    {
        Assert.True(sequence >= Durable, $"Shortened without a word: frame {sequence}, durable was {Durable}.");
        Assert.True(sequence <= LastFrame, $"Frame {sequence} was never written.");
        var (state, modelBase, all) = _states[(int)sequence];
        Assert.True(start.Index <= Math.Max(modelBase.Index, CompactedTo), "More was dropped than a snapshot covers.");
        Assert.True(start.Index >= modelBase.Index, "The log begins before its snapshot.");
        Assert.Equal(LastIn(modelBase, all[..(int)(start.Index - modelBase.Index)]), start);
        Assert.Equal((state.Term, state.Vote), (hardState.Term, hardState.Vote));
        Assert.True(hardState.Commit >= start.Index && hardState.Commit <= start.Index + (ulong)entries.Count);
        var expected = all.AsSpan((int)(start.Index - modelBase.Index));
        Assert.Equal(expected.Length, entries.Count);
        for (var i = 0; i < expected.Length; i++)
        {
            var isEqual = expected[i].Id == entries[i].Id && expected[i].Proposal == entries[i].Proposal && expected[i].Type == entries[i].Type
                && expected[i].Payload.Span.SequenceEqual(entries[i].Payload.Span);
            if (!isEqual) Assert.Fail($"Entry {expected[i].Id} is another one: {entries[i].Id}.");
        }
    }

    private static EntryId LastIn(EntryId start, LogEntry[] entries) => entries.Length == 0 ? start : entries[^1].Id;
}
