using RaftMirror.DataPlane.Devices;

namespace RaftMirror.DataPlane.Nbd;

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

/// <summary>What a client is told about an export; the same on every node.</summary>
/// <param name="Name">SET/VOLUME, UTF-8, at most 4096 bytes.</param>
/// <param name="Description">For people.</param>
/// <param name="SizeBytes">A multiple of <paramref name="MinimumBlockBytes"/>.</param>
/// <param name="MinimumBlockBytes">Alignment of every request, a power of two from 512 to 4096.</param>
/// <param name="PreferredBlockBytes">A power of two, at least 4096.</param>
/// <param name="IsReadOnly">No write, trim or write-zeroes.</param>
/// <param name="IsMultiConn">True only if a flush on one connection covers acknowledged writes of all, and every
/// connection (on every node) sees them.</param>
public sealed record ExportInfo(
    string Name,
    string Description,
    long SizeBytes,
    int MinimumBlockBytes,
    int PreferredBlockBytes,
    bool IsReadOnly,
    bool IsMultiConn);

/// <summary>What LIST says of an export.</summary>
/// <param name="Name">SET/VOLUME, UTF-8, at most 4096 bytes.</param>
/// <param name="Description">For people.</param>
public sealed record ExportListing(string Name, string Description);

/// <summary>The exports that are configured on this node, served at this moment or not.</summary>
/// <param name="Names">By name; null if they are not known.</param>
/// <param name="Reason">Why not, for people.</param>
/// <param name="IsFinal">Waiting changes nothing about that.</param>
public sealed record ExportList(IReadOnlyList<ExportListing>? Names, string Reason = "", bool IsFinal = false);

/// <summary>What a node can say of an export's name at one moment.</summary>
public enum ExportStanding
{
    /// <summary>No volume of that name is configured, as far as this node's state goes.</summary>
    None,

    /// <summary>This node does not know its configuration.</summary>
    Undecided,

    /// <summary>Configured, and not served here at this moment.</summary>
    NotServed,

    /// <summary>Configured, and this node will not serve it, however long somebody waits.</summary>
    NeverServed,

    /// <summary>Served: this node holds a lease, has joined the set, and the volume can take I/O.</summary>
    Served,
}

/// <summary>Answer to <see cref="IExportCatalog.Look"/>.</summary>
/// <param name="Standing">What is known.</param>
/// <param name="Reason">Why it is not served, for people.</param>
/// <param name="Export">The volume. A client may be attached to it before it is served, and is admitted once it is.</param>
public readonly record struct ExportLookup(ExportStanding Standing, string Reason = "", IExport? Export = null);

/// <summary>Finds exports by name. Any thread; all but <see cref="CatchUpAsync"/> return at once.</summary>
public interface IExportCatalog
{
    /// <summary>Completes at the next change of what <see cref="List"/> or <see cref="Look"/> say. To be taken before the look.</summary>
    Task Changed { get; }

    /// <summary>All configured exports.</summary>
    ExportList List();

    /// <summary>What is known of a name.</summary>
    ExportLookup Look(string name);

    /// <summary>Ends once everything that was configured anywhere before the call is known here.</summary>
    Task CatchUpAsync(CancellationToken cancellationToken);
}

/// <summary>A volume that clients can attach. Any thread.</summary>
public interface IExport
{
    /// <summary>What clients are told.</summary>
    ExportInfo Info { get; }

    /// <summary>Begins a client connection: before GO or EXPORT_NAME is answered, which waits for <see cref="IExportSession.Admitted"/>.</summary>
    /// <param name="client">Remote address, for messages.</param>
    IExportSession Open(string client);

    /// <summary>As <see cref="Open(string)"/>, for a session that wants to know when requests came.</summary>
    /// <param name="client">Remote address, for messages.</param>
    /// <param name="intake">What is known of that.</param>
    IExportSession Open(string client, IIntake intake) => Open(client);
}

/// <summary>What is known of when a connection's requests reached this host's kernel. Times are ns of CLOCK_BOOTTIME.</summary>
public interface IIntake
{
    /// <summary>Bounds of when the last byte of the request came that is being handed over. The connection's thread, during a call of its
    /// session.</summary>
    (long FromNs, long ToNs) Current { get; }

    /// <summary>Every request that had come as a whole before this instant was handed to the session or will never be. Any thread.</summary>
    /// <param name="nowNs">Now.</param>
    long FloorNs(long nowNs);
}

/// <summary>Holds the buffer of a read. Called by the thread that ends the read, before it has ended.</summary>
public interface IReadBuffer
{
    /// <summary>The data stands in <paramref name="buffer"/>, which is the caller's from now on. The former one is given up.</summary>
    void Replace(AlignedBuffer buffer);
}

/// <summary>One client connection to an export. Requests run concurrently and may end in any order; the caller has
/// checked range, alignment, flags and length (1 byte to 32 MiB for read and write) before each call. Buffers are
/// aligned (AlignedBufferPool), belong to the callee until the task ends, and go back to the caller then; one that a device may still
/// use is held by whoever gave it to the device, too (<see cref="AlignedBuffer.Retain"/>).
/// Disposed once, when the connection is closed and every request has ended.</summary>
public interface IExportSession : IDisposable
{
    /// <summary>Cancelled when the node wants this connection gone (lost lease, volume deleted, shutdown): stop reading
    /// requests, let those in flight end, close.</summary>
    CancellationToken Dropped { get; }

    /// <summary>Completes once the client may be told that it has the export: this node serves it, and nothing that an earlier
    /// connection left under way holds up this one's writes. Never faults; open for ever if that does not come about.</summary>
    Task Admitted { get; }

    /// <summary>The client closed its side: it reads no more replies, or few.</summary>
    void HungUp()
    {
    }

    /// <summary>Reads into <paramref name="destination"/>, or into another buffer, which <paramref name="owner"/> is given before the task
    /// ends: a device that hangs may still fill the first one.</summary>
    ValueTask<IoStatus> ReadAsync(long offset, Memory<byte> destination, IReadBuffer? owner = null);

    /// <summary>Writes; with <paramref name="forceUnitAccess"/> the data is on stable storage before the reply.</summary>
    ValueTask<IoStatus> WriteAsync(long offset, ReadOnlyMemory<byte> source, bool forceUnitAccess);

    /// <summary>Everything acknowledged before the call, on any connection, is on stable storage afterwards.</summary>
    ValueTask<IoStatus> FlushAsync();

    /// <summary>Hint that the range is unused; both legs are treated alike.</summary>
    ValueTask<IoStatus> TrimAsync(long offset, long lengthBytes, bool forceUnitAccess);

    /// <summary>The range reads as zeros; <paramref name="mayUnmap"/> false asks for allocated zeros (NO_HOLE).</summary>
    ValueTask<IoStatus> WriteZeroesAsync(long offset, long lengthBytes, bool mayUnmap, bool forceUnitAccess);
}
