using RaftMirror.Consensus.Core;
using RaftMirror.Consensus.Model;
using RaftMirror.Consensus.Storage;
using RaftMirror.Primitives;

namespace RaftMirror.Consensus.Tests.Storage;

/// <summary>A seeded life of a log: group commits of several frames, replaced suffixes, resets, compaction, recycled segments.</summary>
internal static class WalScript
{
    public const int SegmentBytes = 32 * 1024;

    /// <summary>Runs until the end, or until the log fails.</summary>
    /// <returns>False if the log failed.</returns>
    public static bool Run(WriteAheadLog log, WalModel model, ulong seed, int steps)
    {
        var random = new Xoshiro(seed);
        try
        {
            for (var step = 0; step < steps; step++) Step(log, model, random);
            log.Flush();
            model.Durable = log.LastSequence;
            return true;
        }
        catch (WalException)
        {
            Assert.Throws<WalException>(() => log.Append(Next(model, random)));
            Assert.Throws<WalException>(() => log.Flush());
            Assert.Throws<WalException>(() => log.Compact(ulong.MaxValue));
            Assert.Throws<WalException>(log.Maintain);
            return false;
        }
    }

    /// <summary>Appends a batch of one frame.</summary>
    public static void Append(WriteAheadLog log, WalModel model, WriteBatch batch)
    {
        model.Written(batch);
        log.Append(batch);
        Assert.Equal(model.LastFrame, log.LastSequence);
    }

    /// <summary>Appends one or two entries, sometimes in place of the last ones, sometimes none.</summary>
    public static WriteBatch Next(WalModel model, Xoshiro random)
    {
        var last = model.LastId;
        var state = model.HardState;
        var previous = last;
        var term = Math.Max(1, state.Term);
        if (random.Chance(0.15) && last.Index > state.Commit)
        {
            previous = model.IdAt(state.Commit + (ulong)random.Next((int)(last.Index - state.Commit)));
            term++;
        }

        var count = random.Chance(0.15) ? 0 : 1 + random.Next(2);
        if (count == 0) previous = last;
        var entries = new LogEntry[count];
        for (var i = 0; i < count; i++) entries[i] = Entry(term, previous.Index + 1 + (ulong)i, random.Next(2500), random.Next(256));
        var commit = Math.Min(previous.Index + (ulong)count, state.Commit + (ulong)random.Next(3));
        return new WriteBatch(0, new HardState(term, new NodeId((ushort)random.Next(4)), Math.Max(commit, state.Commit)), previous, entries);
    }

    public static LogEntry Entry(ulong term, ulong index, int bytes, int fill)
    {
        var payload = new byte[bytes];
        payload.AsSpan().Fill((byte)fill);
        return new LogEntry(new EntryId(term, index), EntryType.Command, new ProposalId(1, 2, index), payload);
    }

    private static void Step(WriteAheadLog log, WalModel model, Xoshiro random)
    {
        switch (random.Next(20))
        {
            case < 10:
                Append(log, model, Next(model, random));
                break;
            case < 15:
                log.Flush();
                model.Durable = log.LastSequence;
                break;
            case < 16:
                log.Submit();
                break;
            case < 18:
                // A snapshot at the commit index of a durable state.
                model.CompactedTo = Math.Max(model.CompactedTo, model.HardState.Commit);
                log.Compact(model.CompactedTo);
                break;
            case < 19:
                log.Maintain();
                break;
            default:
                if (!random.Chance(0.3)) break;
                var term = model.HardState.Term + 1;
                var snapshot = new EntryId(term, model.HardState.Commit + 5 + (ulong)random.Next(5));
                model.CompactedTo = snapshot.Index;
                LogEntry[] entries = random.Chance(0.5) ? [] : [Entry(term, snapshot.Index + 1, 100, 7)];
                Append(log, model, new WriteBatch(0, new HardState(term, default, snapshot.Index), snapshot, entries, IsReset: true));
                break;
        }
    }
}
