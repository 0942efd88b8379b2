namespace RaftMirror.Primitives.Domain;

/// <summary>What a barrier waits for.</summary>
public enum BarrierKind
{
    /// <summary>A leg was committed as failed: stop reading and writing it, wait for its physical I/O to end, confirm. Writes
    /// that missed the leg are acknowledged only after the barrier is gone from the configuration.</summary>
    LegLoss,

    /// <summary>The volume is being deleted: drop clients, wait for physical I/O to end, confirm.</summary>
    Delete,

    /// <summary>A leg that was offline is a target again: write it, and tell every region that this node has marked. No mark is cleared
    /// before the barrier no longer awaits this node: until then only its own dirty log says what the leg may miss.</summary>
    LegReturn,
}
