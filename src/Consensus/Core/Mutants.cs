namespace RaftMirror.Consensus.Core;

#if MUTANTS
/// <summary>Real bugs of other engines, put back one at a time to prove that the simulator finds them. They exist only in
/// builds of the configuration "Mutants"; elsewhere each is a constant false, which the compiler removes.</summary>
internal static class Mutants
{
    [ThreadStatic]
    private static string? _active;

    /// <summary>The names that <see cref="Active"/> takes.</summary>
    public static IReadOnlyList<string> All { get; } =
    [
        nameof(AckBeforeFlush), nameof(VoteNotDurable), nameof(CommitOlderTerm), nameof(TruncateWithoutConflict),
        nameof(IndexBeforeTerm), nameof(QuorumOfResponders), nameof(ReadWithoutRound), nameof(CommitBeyondMatch),
        nameof(ReadBeforeOwnCommit), nameof(LeaderCountsUnflushed), nameof(OldTermAccepted), nameof(ReadRoundIgnored),
    ];

    /// <summary>The bug that this thread's cores have; null for none.</summary>
    public static string? Active
    {
        get => _active;
        set => _active = value;
    }

    public static bool AckBeforeFlush => _active == nameof(AckBeforeFlush);

    public static bool VoteNotDurable => _active == nameof(VoteNotDurable);

    public static bool CommitOlderTerm => _active == nameof(CommitOlderTerm);

    public static bool TruncateWithoutConflict => _active == nameof(TruncateWithoutConflict);

    public static bool IndexBeforeTerm => _active == nameof(IndexBeforeTerm);

    public static bool QuorumOfResponders => _active == nameof(QuorumOfResponders);

    public static bool ReadWithoutRound => _active == nameof(ReadWithoutRound);

    public static bool CommitBeyondMatch => _active == nameof(CommitBeyondMatch);

    public static bool ReadBeforeOwnCommit => _active == nameof(ReadBeforeOwnCommit);

    public static bool LeaderCountsUnflushed => _active == nameof(LeaderCountsUnflushed);

    public static bool OldTermAccepted => _active == nameof(OldTermAccepted);

    public static bool ReadRoundIgnored => _active == nameof(ReadRoundIgnored);

    /// <summary>Not in <see cref="All"/> until the simulator compacts: without recycled segments there is nothing stale to read.</summary>
    public static bool StaleFrames => _active == nameof(StaleFrames);
}
#else
/// <summary>The places of the bugs that builds of the configuration "Mutants" can put back; here there are none.</summary>
internal static class Mutants
{
    public const bool AckBeforeFlush = false;
    public const bool VoteNotDurable = false;
    public const bool CommitOlderTerm = false;
    public const bool TruncateWithoutConflict = false;
    public const bool IndexBeforeTerm = false;
    public const bool QuorumOfResponders = false;
    public const bool ReadWithoutRound = false;
    public const bool CommitBeyondMatch = false;
    public const bool ReadBeforeOwnCommit = false;
    public const bool LeaderCountsUnflushed = false;
    public const bool OldTermAccepted = false;
    public const bool ReadRoundIgnored = false;
    public const bool StaleFrames = false;
}
#endif
