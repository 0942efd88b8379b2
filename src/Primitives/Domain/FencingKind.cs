namespace RaftMirror.Primitives.Domain;

/// <summary>How a set keeps lost nodes from its disks.</summary>
public enum FencingKind
{
    /// <summary>By waiting out the lease horizon.</summary>
    Lease,
}
