namespace RaftMirror.Primitives.Domain;

/// <summary>What a client's request waits for while none of its leg I/O is under way. Looked at in the order in which a request meets it.</summary>
public enum HoldReason
{
    /// <summary>This incarnation has not joined the set, or knows no configuration.</summary>
    Join,

    /// <summary>No lease from the leader.</summary>
    Lease,

    /// <summary>A disk that is lost, or that this node cannot use.</summary>
    Disk,

    /// <summary>Its leg I/O has ended, and a leg failed: its loss must be committed, and confirmed by the nodes.</summary>
    LegLoss,

    /// <summary>Its marks in the dirty log.</summary>
    Marks,

    /// <summary>An older write of the same bytes that its client may have given up.</summary>
    OlderWrite,

    /// <summary>A node's answer to the question whether it has such a write.</summary>
    Answer,

    /// <summary>A dirty log of this node.</summary>
    Log,

    /// <summary>Ownership.</summary>
    Owner,

    /// <summary>The end of what came on former connections.</summary>
    FormerConnection,

    /// <summary>A copy of its range, or the word of the node that copies.</summary>
    Copy,

    /// <summary>An overlapping request.</summary>
    Overlap,

    /// <summary>The merge of a dead node's dirty log.</summary>
    Merge,

    /// <summary>The repair of a range that it reads.</summary>
    Repair,
}
