using RaftMirror.Consensus.Model;

namespace RaftMirror.Consensus.Messages;

/// <summary>Kinds of Raft messages. Values are on the wire: never renumber.</summary>
internal enum MessageKind : byte
{
    /// <summary>Would you vote for me in <see cref="Message.Term"/>? Changes nobody's term (thesis 9.6).</summary>
    PreVote = 1,
    PreVoteReply = 2,
    Vote = 3,
    VoteReply = 4,
    Append = 5,
    AppendReply = 6,
    Heartbeat = 7,
    HeartbeatReply = 8,

    /// <summary>Campaign at once: leadership is handed to you (thesis 3.10).</summary>
    TimeoutNow = 9,

    /// <summary>What you need next is gone from my log: fetch the snapshot whose last entry is <see cref="Message.Log"/> (Raft paper 7). Round is
    /// its length in bytes, Hint.Index its CRC-32C. Answered by an AppendReply once it is installed.</summary>
    InstallSnapshot = 10,

    /// <summary>This is who I am, and how far I have bound myself; <see cref="Message.IsTransfer"/> asks for a reply. Changes nobody's term
    /// (design §14.24). Rejected: I know that my directory is old, and this is what is known of me, in Log and Hint as in a reply.</summary>
    Claim = 11,

    /// <summary>I know nothing that contradicts your claim, and remember it; or, if rejected, what I know.</summary>
    ClaimReply = 12,

    /// <summary>This entry was committed here, and somebody has another one for committed.</summary>
    Committed = 13,
}

/// <summary>One message between cores. Immutable.</summary>
internal readonly record struct Message
{
    public required MessageKind Kind { get; init; }

    public required NodeId From { get; init; }

    public required NodeId To { get; init; }

    /// <summary>The sender's term; in a pre-vote and its grant, the term that would be campaigned for; in a claim, the one in which the sender is
    /// bound, up to the index <see cref="Commit"/>.</summary>
    public required ulong Term { get; init; }

    /// <summary>(Pre)Vote: the candidate's last entry. Append: the entry before the first. AppendReply: Index is the match
    /// if granted, else the index that was asked for and refused. Rejected ClaimReply: how far the claimant had bound itself. Committed: the entry.</summary>
    public EntryId Log { get; init; }

    /// <summary>Append: the leader's commit index. Heartbeat: the smaller of that and the receiver's match.</summary>
    public ulong Commit { get; init; }

    /// <summary>Heartbeat and its reply: the round, numbered from 1 by the leader when it sends; 0 in one that wants no reply.
    /// ClaimReply: the start that was claimed. Append, Committed: the start of who led in the term of Log; 0 if unknown.</summary>
    public ulong Round { get; init; }

    /// <summary>Replies: no.</summary>
    public bool Reject { get; init; }

    /// <summary>Vote: the leader asked for this campaign, so stickiness does not apply.</summary>
    public bool IsTransfer { get; init; }

    /// <summary>Refused append: where the logs may agree. Heartbeat: Index is the checkpoint whose digest is wanted, 0 for none; its reply:
    /// the same with the digest as Term, if it is known. Rejected ClaimReply: the start that is known as Term, its incarnation as Index.</summary>
    public EntryId Hint { get; init; }

    /// <summary>Append: contiguous from Log.Index + 1.</summary>
    public ReadOnlyMemory<LogEntry> Entries { get; init; }

    /// <summary>Claim: the sender's life.</summary>
    public NodeLife? Life { get; init; }

    /// <inheritdoc/>
    public override string ToString() =>
        $"{Kind} {From}->{To} t{Term} log={Log.Term}.{Log.Index} commit={Commit} round={Round} n={Entries.Length}"
        + (Reject ? " reject" : string.Empty) + (IsTransfer ? " transfer" : string.Empty);
}
