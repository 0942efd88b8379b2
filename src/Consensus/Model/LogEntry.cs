namespace RaftMirror.Consensus.Model;

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

/// <summary>One entry. Immutable; the payload is shared by log, WAL and network and never written again.</summary>
internal readonly record struct LogEntry(EntryId Id, EntryType Type, ProposalId Proposal, ReadOnlyMemory<byte> Payload)
{
    /// <summary>Bytes of everything but the payload, for budgets: entry header on disk and wire.</summary>
    public const int OverheadBytes = 48;

    public ulong Index => Id.Index;

    public ulong Term => Id.Term;

    public int SizeBytes => OverheadBytes + Payload.Length;
}
