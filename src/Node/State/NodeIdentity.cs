using RaftMirror.Consensus.Model;

namespace RaftMirror.Node.State;

/// <summary>Who this process is.</summary>
internal sealed record NodeIdentity(string Name, NodeId Id, ulong Incarnation, string Start = "");
