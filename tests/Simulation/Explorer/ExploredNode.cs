using RaftMirror.Consensus.Core;
using RaftMirror.Consensus.Model;
using RaftMirror.Primitives;

namespace RaftMirror.Simulation.Explorer;

/// <summary>A message that waits for a write, with what it claims to be on this node's disk.</summary>
internal readonly record struct HeldMessage(ExploredMessage Message, ulong ReleaseAfter, EntryId Claim);

/// <summary>What survives a crash. Immutable.</summary>
internal sealed record ExploredDisk(HardState HardState, EntryId Start, LogEntry[] Entries, SnapshotMeta? Snapshot)
{
    public ulong LastIndex => Start.Index + (ulong)Entries.Length;

    /// <summary>False if the commit hint speaks of entries that a crash would lose.</summary>
    public bool IsHintDurable => HardState.Commit <= LastIndex;

    /// <summary>True if this node could not lose the entry: it is in the log, or a snapshot covers it.</summary>
    public bool Holds(EntryId id) =>
        id.Index == 0
        || (Snapshot is not null && id.Index <= Snapshot.Last.Index)
        || (id.Index == Start.Index && id == Start)
        || (id.Index > Start.Index && id.Index <= LastIndex && Entries[id.Index - Start.Index - 1].Id == id);

    public ExploredDisk After(WriteBatch write)
    {
        if (write.IsReset) return this with { HardState = write.HardState, Start = write.Previous, Entries = write.Entries };
        if (write.Entries.Length == 0) return this with { HardState = write.HardState };
        var fresh = write.Entries.Where(entry => entry.Index > Start.Index).ToArray();
        if (fresh.Length == 0) return this with { HardState = write.HardState };
        Invariant.Require(fresh[0].Index <= LastIndex + 1, "The log on disk has no holes.");
        return this with { HardState = write.HardState, Entries = [.. Entries.Take((int)(fresh[0].Index - Start.Index - 1)), .. fresh] };
    }

    public ExploredDisk CompactTo(ulong index)
    {
        if (index <= Start.Index || index > LastIndex) return this;
        var count = (int)(index - Start.Index);
        return this with { Start = Entries[count - 1].Id, Entries = Entries[count..] };
    }

    /// <summary>What recovery makes of it: a snapshot that the log does not contain takes its place.</summary>
    public ExploredDisk Recover()
    {
        if (Snapshot is null || (Snapshot.Last.Index >= Start.Index && Holds(Snapshot.Last) && ContainsInLog(Snapshot.Last))) return this;
        var last = Snapshot.Last;
        var hardState = HardState.Term >= last.Term ? HardState with { Commit = last.Index } : new HardState(last.Term, default, last.Index);
        return new ExploredDisk(hardState, last, [], Snapshot);
    }

    public UInt128 Hash(byte[] names)
    {
        var hash = new StateHash();
        AddHardState(ref hash, HardState, names);
        hash.Add(Start);
        hash.Add(LastIndex);
        foreach (var entry in Entries) hash.Add(entry);
        AddSnapshot(ref hash, Snapshot, names);
        return hash.Value;
    }

    /// <summary>A snapshot with who took part: in another branch of the search the same id may be another entry's.</summary>
    public static void AddSnapshot(ref StateHash hash, SnapshotMeta? snapshot, byte[] names)
    {
        hash.Add(snapshot?.Last ?? default);
        if (snapshot is null) return;
        foreach (var set in (ReadOnlySpan<NodeId[]>)[snapshot.Configuration.Voters, snapshot.Configuration.OutgoingVoters, snapshot.Configuration.Learners])
            hash.Add(set.Aggregate(0ul, (bits, id) => bits | (1ul << names[id.Value])));
    }

    public static void AddHardState(ref StateHash hash, HardState state, byte[] names)
    {
        hash.Add(state.Term);
        hash.Add(names[state.Vote.Value]);
        hash.Add(state.Commit);
    }

    private bool ContainsInLog(EntryId id) =>
        id == Start || (id.Index > Start.Index && id.Index <= LastIndex && Entries[id.Index - Start.Index - 1].Id == id);
}

/// <summary>One node: a core, what waits for its disk, and the disk. Shared by all worlds in which it is the same; copied before it changes.</summary>
internal sealed class ExploredNode
{
    public required RaftCore Core { get; set; }

    public required ExploredDisk Disk { get; set; }

    public WriteBatch[] Writes { get; set; } = [];

    public HeldMessage[] Held { get; set; } = [];

    /// <summary>The last write that is on the disk.</summary>
    public ulong DoneSequence { get; set; }

    public SnapshotMeta? Offer { get; set; }

    /// <summary>By naming.</summary>
    public UInt128[] Hashes { get; private set; } = [];

    public ExploredNode Copy() => new()
    {
        Core = Core.Clone(),
        Disk = Disk,
        Writes = Writes,
        Held = Held,
        DoneSequence = DoneSequence,
        Offer = Offer,
    };

    public void Seal(byte[][] namings)
    {
        Hashes = new UInt128[namings.Length];
        for (var i = 0; i < namings.Length; i++)
        {
            var names = namings[i];
            var hash = new StateHash();
            Core.AddTo(ref hash, names);
            hash.Add(Disk.Hash(names));
            hash.Add((ulong)Writes.Length);
            foreach (var write in Writes)
            {
                hash.Add((ulong)write.Entries.Length);
                ExploredDisk.AddHardState(ref hash, write.HardState, names);
                hash.Add(write.Previous);
                hash.Add(write.IsReset);
                foreach (var entry in write.Entries) hash.Add(entry);
            }

            hash.Add((ulong)Held.Length);
            foreach (var held in Held)
            {
                hash.Add(held.Message.Hashes[i]);
                hash.Add(held.ReleaseAfter - DoneSequence);
                hash.Add(held.Claim);
            }

            ExploredDisk.AddSnapshot(ref hash, Offer, names);
            Hashes[i] = hash.Value;
        }
    }
}
