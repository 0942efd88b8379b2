namespace RaftMirror.Consensus.Model;

/// <summary>Names a proposal for its proposer: which process made it and how many it had made before. It travels with
/// the entry, so that the proposer recognises its own entry when it applies it, whoever appended it.</summary>
/// <param name="Node">The proposer; 0 for entries that nobody waits for.</param>
/// <param name="Incarnation">The proposer's process life.</param>
/// <param name="Sequence">Unique within that life.</param>
internal readonly record struct ProposalId(ushort Node, ulong Incarnation, ulong Sequence);
