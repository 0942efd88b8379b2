namespace RaftMirror.ControlPlane.Model;

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
