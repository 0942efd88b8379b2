using System.Net.Sockets;
using RaftMirror.Primitives;

namespace RaftMirror.Consensus.Transport;

/// <summary>
/// A connection's bytes. Blocking reads wait on the caller's own thread. A socket that was ever used with the framework's asynchronous calls
/// wakes the framework's notification thread and a pool thread for whatever arrives; one that is <see cref="IsBlocking"/> from its first byte on
/// wakes its reader alone.
/// </summary>
internal sealed class PeerStream(Socket socket) : NetworkStream(socket, ownsSocket: true)
{
    /// <summary>Whether asynchronous calls block, too, and complete before they return: for whoever has a thread of its own, and code that both
    /// kinds share.</summary>
    public bool IsBlocking { get; set; }

    /// <summary>When blocking reads give up, by <see cref="Environment.TickCount64"/>; null for never. By the reader.</summary>
    public long? DeadlineMs { get; set; }

    /// <exception cref="IOException">The connection broke, or the deadline has come.</exception>
    public override int Read(Span<byte> buffer)
    {
        var waitMs = DeadlineMs is { } deadlineMs ? (int)(deadlineMs - Environment.TickCount64) : -1;
        if ((DeadlineMs is not null && waitMs <= 0) || !Readiness.WaitReadable(Socket.SafeHandle, waitMs))
            throw new IOException("the peer said nothing in time");
        var count = Socket.Receive(buffer, SocketFlags.None, out var error);
        return error == SocketError.Success ? count : throw new IOException($"the connection broke: {error}");
    }

    public override int Read(byte[] buffer, int offset, int count) => Read(buffer.AsSpan(offset, count));

    public override ValueTask<int> ReadAsync(Memory<byte> buffer, CancellationToken cancellationToken = default) =>
        IsBlocking ? new(Read(buffer.Span)) : base.ReadAsync(buffer, cancellationToken);

    public override ValueTask WriteAsync(ReadOnlyMemory<byte> buffer, CancellationToken cancellationToken = default)
    {
        if (!IsBlocking) return base.WriteAsync(buffer, cancellationToken);
        Write(buffer.Span);
        return ValueTask.CompletedTask;
    }
}
