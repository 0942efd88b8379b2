namespace RaftMirror.ControlPlane.Model;

/// <summary>Why a disk is lost, or why one node cannot use it.</summary>
public enum DiskLossReason
{
    /// <summary>It is not.</summary>
    None,

    /// <summary>It cannot be reached, or its calls fail as a lost path's do.</summary>
    Unreachable,

    /// <summary>It neither answers nor fails.</summary>
    TimedOut,

    /// <summary>Nothing is there under its path, or nothing that carries a label.</summary>
    Absent,

    /// <summary>An older copy of it.</summary>
    Older,

    /// <summary>It carries what the committed state does not know of.</summary>
    Newer,

    /// <summary>Another disk: of another cluster or set, or another one of this set.</summary>
    Foreign,

    /// <summary>Its label is right, but it is not the one that the other nodes see.</summary>
    Cloned,

    /// <summary>Its size is not the one that it was added with.</summary>
    Resized,

    /// <summary>It looks right, and not all nodes that serve the set have said yet whether they see the same one.</summary>
    Unproven,

    /// <summary>Its calls fail on this node, while other nodes can use it.</summary>
    FailsHere,
}
