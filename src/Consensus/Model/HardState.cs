namespace RaftMirror.Consensus.Model;

/// <summary>What must survive a restart besides the entries (Raft paper figure 2).</summary>
/// <param name="Term">Latest term seen.</param>
/// <param name="Vote">Who got this node's vote in that term; 0 if nobody.</param>
/// <param name="Commit">A hint that saves work after a restart; may lag, never leads.</param>
internal readonly record struct HardState(ulong Term, NodeId Vote, ulong Commit);
