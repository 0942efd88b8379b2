using RaftMirror.DataPlane.Devices;

namespace RaftMirror.DataPlane.Exports;

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
