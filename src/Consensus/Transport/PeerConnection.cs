using System.Net.Security;
using System.Net.Sockets;
using RaftMirror.Consensus.Model;

namespace RaftMirror.Consensus.Transport;

/// <summary>A connection after its handshake. One reader; writers through <see cref="Writer"/>. Any thread may end it.</summary>
internal sealed class PeerConnection : IDisposable
{
    private const int TcpUserTimeout = 18;
    private const int TcpNotSentLowWater = 25;
    private const int NotSentBytes = 256 * 1024;
    private const int ReceiveBytes = 512 * 1024;

    private readonly Socket _socket;
    private readonly Stream _stream;
    private readonly TransportLimits _limits;
    private readonly CancellationTokenSource _ended = new();
    private string? _reason;

    public PeerConnection(
        Socket socket, Stream stream, TransportLimits limits, NodeId peer, Lane lane, ulong incarnation, ushort version)
    {
        _socket = socket;
        _stream = stream;
        _limits = limits;
        Peer = peer;
        Lane = lane;
        Incarnation = incarnation;
        Version = version;
        Reader = new FrameReader(stream);
        Writer = new FrameWriter(stream, stream is not SslStream, limits, error => End(error.Message));
        Ended = _ended.Token;
    }

    public NodeId Peer { get; }

    public Lane Lane { get; }

    /// <summary>The peer's life.</summary>
    public ulong Incarnation { get; }

    /// <summary>The protocol version that both sides speak.</summary>
    public ushort Version { get; }

    /// <summary>Of connections that were accepted: their order.</summary>
    public long Order { get; init; }

    public FrameReader Reader { get; }

    public FrameWriter Writer { get; }

    /// <summary>Set when the connection has ended, by whatever side.</summary>
    public CancellationToken Ended { get; }

    public bool IsUp => Volatile.Read(ref _reason) is null;

    /// <summary>Why it has ended.</summary>
    public string Reason => Volatile.Read(ref _reason) ?? string.Empty;

    /// <summary>Options that keep a dead or slow peer from holding what others need.</summary>
    /// <param name="socket">Connected.</param>
    /// <param name="limits">The stall timeout bounds unacknowledged data too.</param>
    public static void Prepare(Socket socket, TransportLimits limits)
    {
        socket.NoDelay = true;
        socket.SetSocketOption(SocketOptionLevel.Socket, SocketOptionName.KeepAlive, true);
        socket.SetSocketOption(SocketOptionLevel.Tcp, SocketOptionName.TcpKeepAliveTime, 5);
        socket.SetSocketOption(SocketOptionLevel.Tcp, SocketOptionName.TcpKeepAliveInterval, 2);
        socket.SetSocketOption(SocketOptionLevel.Tcp, SocketOptionName.TcpKeepAliveRetryCount, 3);

        // What has left the writer's queue cannot be overtaken: little of it, so that a heartbeat is never far back.
        SetTcp(socket, TcpUserTimeout, (int)limits.StallTimeout.TotalMilliseconds);
        SetTcp(socket, TcpNotSentLowWater, NotSentBytes);
    }

    /// <summary>Bounds what the kernel takes in for a reader that is slow.</summary>
    public static void BoundReceiving(Socket socket) => socket.ReceiveBufferSize = ReceiveBytes;

    /// <summary>True if a frame or a write has made no progress for too long.</summary>
    public bool IsStalled(long nowMs)
    {
        var limit = (long)_limits.StallTimeout.TotalMilliseconds;
        var read = Reader.WaitingSinceMs;
        var write = Writer.WritingSinceMs;
        return (read != 0 && nowMs - read > limit) || (write != 0 && nowMs - write > limit);
    }

    /// <summary>Wakes whoever reads from a socket or writes to it, on whatever thread, and waits for nobody: disposing it would wait for a
    /// blocking reader to notice. Whoever reads disposes it.</summary>
    public static void HangUp(Socket socket)
    {
        try
        {
            socket.Shutdown(SocketShutdown.Both);
        }
        catch (Exception error) when (error is SocketException or ObjectDisposedException)
        {
            // It has ended by itself.
        }
    }

    /// <summary>Ends the connection; the first reason counts.</summary>
    public void End(string reason)
    {
        if (Interlocked.CompareExchange(ref _reason, reason, null) is not null) return;
        Writer.Dispose();
        HangUp(_socket);
        _ = _ended.CancelAsync(); // Whoever waits goes on elsewhere: this thread may hold a lock.
    }

    /// <summary>By the reader, when it reads no more.</summary>
    public void Dispose()
    {
        End("closed");
        _stream.Dispose();
        Reader.Dispose();
    }

    private static void SetTcp(Socket socket, int option, int value)
    {
        const int LevelTcp = 6;
        Span<byte> bytes = stackalloc byte[4];
        BitConverter.TryWriteBytes(bytes, value);
        socket.SetRawSocketOption(LevelTcp, option, bytes);
    }
}
