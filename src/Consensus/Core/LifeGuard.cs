using RaftMirror.Consensus.Model;

namespace RaftMirror.Consensus.Core;

/// <summary>What a node starts with to guard against directories that were put back (design §14.24).</summary>
/// <param name="Life">This process life.</param>
/// <param name="Known">The peers' lives, from this node's own disk.</param>
/// <param name="Old">This directory was found to be old before; null if not.</param>
/// <param name="Conflict">This node's history was found to contradict another's before; null if not.</param>
/// <param name="IsHeldBack">The disks are to be asked before this node takes part: see <see cref="RaftCore.DisksWereAsked"/>.</param>
internal sealed record LifeStart(
    NodeLife Life, IReadOnlyList<KnownLife> Known, OldDirectory? Old = null, HistoryConflict? Conflict = null, bool IsHeldBack = false);

/// <summary>State of one life: what is known of the peers, what they confirmed, and what was found against this node.</summary>
internal sealed class LifeGuard
{
    public LifeGuard(LifeStart start, long nowMs, RaftCoreOptions options)
    {
        Life = start.Life;
        Witness = new Witness(start.Known);
        Admission = new StartAdmission(nowMs, options.GraceMs, 2 * options.HeartbeatMs);
        Admission.HoldBack(start.IsHeldBack);
        Old = start.Old;
        Conflict = start.Conflict;
    }

    public NodeLife Life { get; }

    public Witness Witness { get; }

    public StartAdmission Admission { get; }

    public Lineage Lineage { get; } = new();

    /// <summary>What the disks have said.</summary>
    public DiskTestimonies Disks { get; } = new();

    /// <summary>Set: this node's directory is old. For good, in this process life.</summary>
    public OldDirectory? Old { get; set; }

    /// <summary>Set: another node has another entry for committed.</summary>
    public HistoryConflict? Conflict { get; set; }

    /// <summary>Peers whose claims were refused here, with what is known of them.</summary>
    public SortedDictionary<NodeId, KnownLife> Refused { get; } = [];

    /// <summary>The highest index at which this node's log was proven equal to a leader's, in <see cref="MatchedTerm"/>.</summary>
    public ulong Matched { get; private set; }

    public ulong MatchedTerm { get; private set; }

    /// <summary>What was last told to the peers without being asked.</summary>
    public Promised Announced { get; set; }

    /// <summary>What is known of peers is to be written with the next write.</summary>
    public bool IsWriteWanted { get; set; }

    /// <summary>The write that last took it along.</summary>
    public ulong WriteSequence { get; set; }

    /// <summary>When the next look at what has changed is due.</summary>
    public long ReviewDueMs { get; set; }

    /// <summary>When the peers are asked again.</summary>
    public long AskDueMs { get; set; }

    /// <summary>This node takes no part: its directory is old, or its history contradicts another's.</summary>
    public bool IsOut => (Old is not null && !Mutants.OldNodeVotes) || Conflict is not null;

    /// <summary>Appends of this term's leader were found equal to this log up to <paramref name="index"/>.</summary>
    public void Match(ulong term, ulong index)
    {
        if (term == MatchedTerm) Matched = Math.Max(Matched, index);
        else (MatchedTerm, Matched) = (term, index);
    }
}
