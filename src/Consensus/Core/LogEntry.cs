namespace RaftMirror.Consensus.Core;

/// <summary>What an entry is for. Values are on disk and wire: never renumber.</summary>
internal enum EntryType : byte
{
    /// <summary>A new leader's first entry, which lets it commit what earlier terms left (Raft thesis 6.4).</summary>
    Noop = 1,

    /// <summary>A command for the state machine.</summary>
    Command = 2,

    /// <summary>A membership, effective as soon as it is in the log (Raft paper section 6).</summary>
    Configuration = 3,

    /// <summary>What a majority found the state to be at an index; who found something else has diverged.</summary>
    Digest = 4,
}

/// <summary>Identifies an entry: by log matching (Raft paper 5.3) equal ids mean equal entries and equal prefixes.</summary>
/// <param name="Term">The term of the leader that made it.</param>
/// <param name="Index">Its place, 1 and up; (0, 0) stands before the first entry.</param>
internal readonly record struct EntryId(ulong Term, ulong Index) : IComparable<EntryId>
{
    /// <summary>The election restriction's order (Raft paper 5.4.1): term first, then index.</summary>
    public int CompareTo(EntryId other) =>
        Mutants.IndexBeforeTerm
            ? Index.CompareTo(other.Index)
            : Term != other.Term ? Term.CompareTo(other.Term) : Index.CompareTo(other.Index);
}

/// <summary>Names a proposal for its proposer: which process made it and how many it had made before. It travels with
/// the entry, so that the proposer recognises its own entry when it applies it, whoever appended it.</summary>
/// <param name="Node">The proposer; 0 for entries that nobody waits for.</param>
/// <param name="Incarnation">The proposer's process life.</param>
/// <param name="Sequence">Unique within that life.</param>
internal readonly record struct ProposalId(ushort Node, ulong Incarnation, ulong Sequence);

/// <summary>One entry. Immutable; the payload is shared by log, WAL and network and never written again.</summary>
internal readonly record struct LogEntry(EntryId Id, EntryType Type, ProposalId Proposal, ReadOnlyMemory<byte> Payload)
{
    /// <summary>Bytes of everything but the payload, for budgets: entry header on disk and wire.</summary>
    public const int OverheadBytes = 48;

    public ulong Index => Id.Index;

    public ulong Term => Id.Term;

    public int SizeBytes => OverheadBytes + Payload.Length;
}

/// <summary>What must survive a restart besides the entries (Raft paper figure 2).</summary>
/// <param name="Term">Latest term seen.</param>
/// <param name="Vote">Who got this node's vote in that term; 0 if nobody.</param>
/// <param name="Commit">A hint that saves work after a restart; may lag, never leads.</param>
internal readonly record struct HardState(ulong Term, NodeId Vote, ulong Commit);
