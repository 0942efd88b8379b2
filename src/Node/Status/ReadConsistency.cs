namespace RaftMirror.Node.Status;

/// <summary>How fresh a read must be.</summary>
internal enum ReadConsistency
{
    /// <summary>Contains everything that was committed before the request arrived (read barrier).</summary>
    Linearizable,

    /// <summary>What this node has applied; works without a leader.</summary>
    Stale,
}
