using RaftMirror.DataPlane.Metadata;

namespace RaftMirror.Node.Peers;

/// <summary>A node asks one that serves whether both see the same disk.</summary>
/// <param name="Set">Name of the set.</param>
/// <param name="Disk">Id of the disk.</param>
/// <param name="Nonce">What the asker has written into its own slot.</param>
internal sealed record ProofRequest(string Set, Guid Disk, Guid Nonce);

/// <summary>The answer.</summary>
/// <param name="Standing">What came of it.</param>
/// <param name="Nonce">What the one asked has written into its own slot, once it had seen the asker's.</param>
/// <param name="IsInUse">It uses what it compared with; else it has only claimed it, or looked at it for this question.</param>
internal sealed record ProofReply(ProofStanding Standing, Guid Nonce = default, bool IsInUse = false);
