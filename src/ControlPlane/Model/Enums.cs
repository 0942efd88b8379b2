namespace RaftMirror.ControlPlane.Model;

/// <summary>State of a node's current incarnation.</summary>
public enum NodeStatus
{
    /// <summary>Registered, never granted a lease: an older incarnation is not yet fenced and merged (design §6.6).</summary>
    Starting,

    /// <summary>May hold a lease, join sets, own volumes.</summary>
    Up,

    /// <summary>As <see cref="Up"/>, but gets no new ownership.</summary>
    Draining,

    /// <summary>Not heard from: gets no lease until the suspicion is cleared, and may be fenced.</summary>
    Suspect,

    /// <summary>Proven gone; a dirty log of it (or of its predecessor) is not merged yet.</summary>
    Fenced,

    /// <summary>Gone, and nothing is owed to it.</summary>
    Down,
}

/// <summary>State of the incarnation before the current one, while it still matters.</summary>
public enum PredecessorStatus
{
    /// <summary>Not proven gone.</summary>
    Suspect,

    /// <summary>Proven gone; its dirty logs are being merged.</summary>
    Fenced,
}

/// <summary>State of a disk.</summary>
public enum DiskStatus
{
    /// <summary>In use.</summary>
    Okay,

    /// <summary>Its medium failed: holds no new dirty logs and no new submirrors. The I/O of submirrors follows their own state.</summary>
    Failed,

    /// <summary>No node uses it: no I/O of any kind begins on it until it has been returned.</summary>
    Lost,
}

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

/// <summary>State of a submirror (reference: illumos metastat's words).</summary>
public enum SubmirrorStatus
{
    /// <summary>Read and written.</summary>
    Okay,

    /// <summary>New: written, not read.</summary>
    Attached,

    /// <summary>Being copied to: written, not read.</summary>
    Resyncing,

    /// <summary>Failed; another has the data: neither read nor written.</summary>
    Maintenance,

    /// <summary>Failed, but the only source: read and written.</summary>
    LastErred,

    /// <summary>Its disk is lost, but not its data: neither read nor written, and what it misses is kept (see
    /// <see cref="KeptMarks"/>), so that it gets only that when its disk is back.</summary>
    Offline,
}

/// <summary>Kind of a resync.</summary>
public enum ResyncKind
{
    /// <summary>Regions that a crashed writer left marked (or all, when its log was in doubt).</summary>
    Optimized,

    /// <summary>A new submirror gets everything.</summary>
    Submirror,
}

/// <summary>Why ownership moves.</summary>
public enum TransferReason
{
    /// <summary>An operator asked.</summary>
    Planned,

    /// <summary>A client writes on another node.</summary>
    Write,

    /// <summary>A resync needs an owner.</summary>
    Resync,

    /// <summary>The owner gave it up: drained, left, stopped.</summary>
    Released,

    /// <summary>The owner was fenced, or its log abandoned.</summary>
    Lost,

    /// <summary>The resync for which there was an owner has ended.</summary>
    ResyncEnded,
}

/// <summary>What a barrier waits for.</summary>
public enum BarrierType
{
    /// <summary>Nodes stop reading and writing a lost submirror; the new generation is on the labels.</summary>
    LegLoss,

    /// <summary>Nodes drop the volume's clients and end its I/O.</summary>
    Delete,

    /// <summary>Nodes write the returned submirror again and tell which regions they have marked: these it may miss. Until then
    /// its resync does not end.</summary>
    LegReturn,
}
