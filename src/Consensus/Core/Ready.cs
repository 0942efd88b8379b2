using RaftMirror.Consensus.Messages;
using RaftMirror.Consensus.Model;

namespace RaftMirror.Consensus.Core;

/// <summary>What a node does in its cluster.</summary>
internal enum RaftRole
{
    Follower,
    PreCandidate,
    Candidate,
    Leader,
}

/// <summary>A message that must not leave before the write <paramref name="ReleaseAfter"/> is on stable storage; 0 is now.</summary>
internal readonly record struct OutboundMessage(Message Message, ulong ReleaseAfter);

/// <summary>What is to be written, as one unit in log order: the hard state and entries that replace everything in the
/// log from the first one's index on.</summary>
/// <param name="Sequence">1 and up; completed in order by <see cref="RaftCore.WriteDone"/>.</param>
/// <param name="HardState">Valid with or without entries.</param>
/// <param name="Previous">The entry before the first one; the last one if there are none.</param>
/// <param name="Entries">Contiguous, possibly empty.</param>
/// <param name="IsReset">A snapshot was installed, whose last entry is <paramref name="Previous"/>: the log before is gone, whole, and
/// goes on from there. The snapshot is durable before this is written.</param>
internal sealed record WriteBatch(ulong Sequence, HardState HardState, EntryId Previous, LogEntry[] Entries, bool IsReset = false)
{
    /// <summary>What is known of the peers' lives, whole, in place of what was written before; null if nothing new is. Durable no later than the rest.</summary>
    public KnownLife[]? Lives { get; init; }
}

/// <summary>Why a proposal or a read was not taken. None of them leaves anything behind.</summary>
internal enum ProposalRefusal
{
    None,
    NotLeader,
    EpochChanged,
    TransferInProgress,
    TooMuchPending,
}

/// <summary>The answer to one <see cref="RaftCore.Read"/>. Each read gets exactly one.</summary>
/// <param name="Token">The caller's number for it.</param>
/// <param name="Index">Once this is applied the read may be served; meaningful if not refused.</param>
/// <param name="Refusal">None if the read may go on.</param>
/// <param name="ValidUntilMs">If it was answered by lease: the caller looks at the clock again once it has this, and asks anew if it
/// is later (a pause may lie between). long.MaxValue for reads that a round confirmed.</param>
internal readonly record struct ReadState(ulong Token, ulong Index, ProposalRefusal Refusal, long ValidUntilMs = long.MaxValue);

/// <summary>A leader's snapshot that this node needs.</summary>
/// <param name="From">Who has it for sure.</param>
/// <param name="Last">The last entry that it covers.</param>
/// <param name="LengthBytes">Of the whole.</param>
/// <param name="Crc">CRC-32C of the whole.</param>
internal readonly record struct OfferedSnapshot(NodeId From, EntryId Last, long LengthBytes, uint Crc);

/// <summary>The effects of the inputs since the last one: the shell carries them out. Owned by the core and
/// reused: valid until the next <see cref="RaftCore.TakeReady"/> but one.</summary>
internal sealed class Ready
{
    public List<OutboundMessage> Messages { get; } = [];

    public WriteBatch? Write { get; set; }

    /// <summary>Entries to apply, in order, each handed out once.</summary>
    public List<LogEntry> Committed { get; } = [];

    public List<ReadState> Reads { get; } = [];

    /// <summary>Role, term or leader changed.</summary>
    public bool StateChanged { get; set; }

    /// <summary>Another configuration is in force: connections may have to change.</summary>
    public bool MembersChanged { get; set; }

    /// <summary>Something was found, or has ended, against this node's directory or history, or a peer's: see <see cref="RaftCore.Old"/>,
    /// <see cref="RaftCore.Conflict"/>, <see cref="RaftCore.RefusedPeers"/>.</summary>
    public bool LivesChanged { get; set; }

    /// <summary>Fetch this snapshot, or go on fetching it.</summary>
    public OfferedSnapshot? Offer { get; set; }

    /// <summary>Restore the state machine from this snapshot before anything of <see cref="Committed"/> is applied.</summary>
    public SnapshotMeta? Installed { get; set; }

    /// <summary>The log on disk may drop everything up to this index; 0 for nothing.</summary>
    public ulong CompactTo { get; set; }

    public void Clear()
    {
        Messages.Clear();
        Write = null;
        Committed.Clear();
        Reads.Clear();
        StateChanged = false;
        MembersChanged = false;
        LivesChanged = false;
        Offer = null;
        Installed = null;
        CompactTo = 0;
    }
}
