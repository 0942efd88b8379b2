namespace RaftMirror.DataPlane.Exports;

/// <summary>How a client's request ended. One table maps these to NBD error numbers.</summary>
public enum IoStatus
{
    /// <summary>Done and, for a write, acknowledged in the sense of docs/architecture.md.</summary>
    Ok,

    /// <summary>Bad range or alignment; nothing changed (EINVAL).</summary>
    InvalidArgument,

    /// <summary>Write past the end (ENOSPC).</summary>
    NoSpace,

    /// <summary>The export is read-only (EPERM).</summary>
    ReadOnly,

    /// <summary>No leg can give or take the data (EIO).</summary>
    IoError,

    /// <summary>Another node can serve this, or nobody may know how it ended: send no reply, close the connection once
    /// its other requests have ended. Clients retry a lost connection and pass an error reply on as an I/O error.</summary>
    Drop,
}
