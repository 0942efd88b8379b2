using System.Buffers.Binary;
using System.Collections.Concurrent;
using System.Diagnostics;
using System.Net;
using System.Net.Sockets;
using System.Text;
using RaftMirror.Integration.Tests.Harness;

namespace RaftMirror.Integration.Tests.Nbd;

/// <summary>A small NBD client that knows which request was answered when. It shares no code with the server: fixed
/// newstyle handshake, GO, simple replies. Requests may be in flight from many tasks at once.</summary>
internal sealed class NbdClient : IAsyncDisposable
{
    private const ulong Magic = 0x4e42444d41474943;
    private const ulong OptionMagic = 0x49484156454F5054;
    private const ulong OptionReplyMagic = 0x3e889045565a9;
    private const uint RequestMagic = 0x25609513;
    private const uint SimpleReplyMagic = 0x67446698;
    private const uint GoOption = 7;
    private const uint AckReply = 1;
    private const uint InfoReply = 3;
    private const uint ErrorReplyBit = 0x8000_0000;
    private const int MaxOptionReplyBytes = 1 << 16;
    private const uint ErrorShutdown = 0x8000_0007;
    private static readonly TimeSpan HandshakeLimit = TimeSpan.FromSeconds(20);
    private static readonly TimeSpan ServiceLimit = TimeSpan.FromSeconds(30);

    private readonly Stream _stream;
    private readonly SemaphoreSlim _sendTurn = new(1, 1);
    private readonly ConcurrentDictionary<ulong, Pending> _pending = new();
    private readonly TaskCompletionSource _disconnected = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly Task _receiver;
    private ulong _cookie;

    private NbdClient(Stream stream, ulong size, ushort flags)
    {
        _stream = stream;
        SizeBytes = (long)size;
        Flags = flags;
        _receiver = ReceiveAsync();
    }

    public long SizeBytes { get; }

    /// <summary>Transmission flags.</summary>
    public ushort Flags { get; }

    /// <summary>Completes when the server is gone; never faults.</summary>
    public Task Disconnected => _disconnected.Task;

    /// <summary>Requests without an answer yet.</summary>
    public int InFlight => _pending.Count;

    /// <summary>Connects to a node's export by TCP. A node that says that it cannot serve the volume now is asked again.</summary>
    /// <exception cref="NbdDisconnectedException">The server closed the connection, or refused the export.</exception>
    public static async Task<NbdClient> ConnectAsync(NodeProcess node, string volume)
    {
        var clock = Stopwatch.StartNew();
        while (true)
        {
            try
            {
                return await ConnectOnceAsync(node, volume);
            }
            catch (NbdDisconnectedException refused) when (refused.IsForNow && clock.Elapsed < ServiceLimit)
            {
                // It has waited on its side already.
            }
        }
    }

    /// <summary>Connects to a node's export by TCP, and takes no for an answer.</summary>
    /// <exception cref="NbdDisconnectedException">The server closed the connection, or refused the export.</exception>
    public static Task<NbdClient> ConnectOnceAsync(NodeProcess node, string volume) =>
        ConnectAsync(new IPEndPoint(IPAddress.Loopback, node.NbdPort), volume);

    /// <summary>Connects to an export.</summary>
    /// <exception cref="NbdDisconnectedException">The server closed the connection, or refused the export.</exception>
    public static async Task<NbdClient> ConnectAsync(EndPoint server, string volume)
    {
        var (stream, size, flags) = await OpenAsync(server, volume);
        return new NbdClient(stream, size, flags);
    }

    /// <summary>Connects to a node's export and leaves it to the caller what is sent and whether anything is ever read.</summary>
    public static async Task<Stream> ConnectRawAsync(NodeProcess node, string volume) =>
        (await OpenAsync(new IPEndPoint(IPAddress.Loopback, node.NbdPort), volume)).Stream;

    /// <summary>The head of a request.</summary>
    public static byte[] Header(ushort type, ulong cookie, long offset, uint length)
    {
        var header = new byte[28];
        BinaryPrimitives.WriteUInt32BigEndian(header, RequestMagic);
        BinaryPrimitives.WriteUInt16BigEndian(header.AsSpan(6), type);
        BinaryPrimitives.WriteUInt64BigEndian(header.AsSpan(8), cookie);
        BinaryPrimitives.WriteUInt64BigEndian(header.AsSpan(16), (ulong)offset);
        BinaryPrimitives.WriteUInt32BigEndian(header.AsSpan(24), length);
        return header;
    }

    private static async Task<(NetworkStream Stream, ulong Size, ushort Flags)> OpenAsync(EndPoint server, string volume)
    {
        var socket = server is UnixDomainSocketEndPoint
            ? new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified)
            : new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp) { NoDelay = true };
        using var limit = new CancellationTokenSource(HandshakeLimit);
        try
        {
            await socket.ConnectAsync(server, limit.Token);
            var stream = new NetworkStream(socket, ownsSocket: true);
            var (size, flags) = await HandshakeAsync(stream, volume, limit.Token);
            return (stream, size, flags);
        }
        catch (Exception failure)
        {
            socket.Dispose();
            if (failure is IOException or OperationCanceledException)
                throw new NbdDisconnectedException($"{server} broke off the handshake for {volume}: {failure.Message}");
            throw;
        }
    }

    /// <returns>0, or the NBD error.</returns>
    /// <exception cref="NbdDisconnectedException">The connection ended before the answer.</exception>
    public async Task<uint> WriteAsync(long offset, ReadOnlyMemory<byte> data, bool forceUnitAccess = false)
    {
        var pending = new Pending(default);
        await SendAsync(1, (ushort)(forceUnitAccess ? 1 : 0), offset, (uint)data.Length, data, pending);
        return await pending.Answer.Task;
    }

    /// <summary>Reads all of <paramref name="buffer"/>; an NBD error throws.</summary>
    public async Task ReadAsync(long offset, Memory<byte> buffer)
    {
        var pending = new Pending(buffer);
        await SendAsync(0, 0, offset, (uint)buffer.Length, default, pending);
        var error = await pending.Answer.Task;
        if (error != 0) throw new InvalidDataException($"read of {buffer.Length} at {offset}: NBD error {error}");
    }

    /// <returns>0, or the NBD error.</returns>
    public async Task<uint> FlushAsync()
    {
        var pending = new Pending(default);
        await SendAsync(3, 0, 0, 0, default, pending);
        return await pending.Answer.Task;
    }

    public async ValueTask DisposeAsync()
    {
        await _stream.DisposeAsync();
        await _receiver;
        _sendTurn.Dispose();
    }

    private static async Task<(ulong Size, ushort Flags)> HandshakeAsync(Stream stream, string volume, CancellationToken stop)
    {
        var greeting = new byte[18];
        await stream.ReadExactlyAsync(greeting, stop);
        if (BinaryPrimitives.ReadUInt64BigEndian(greeting) != Magic
            || BinaryPrimitives.ReadUInt64BigEndian(greeting.AsSpan(8)) != OptionMagic)
            throw new InvalidDataException("This is no fixed newstyle NBD server.");
        var name = Encoding.UTF8.GetBytes(volume);
        var hello = new byte[4 + 16 + 4 + name.Length + 2];
        BinaryPrimitives.WriteUInt32BigEndian(hello, 3);
        BinaryPrimitives.WriteUInt64BigEndian(hello.AsSpan(4), OptionMagic);
        BinaryPrimitives.WriteUInt32BigEndian(hello.AsSpan(12), GoOption);
        BinaryPrimitives.WriteUInt32BigEndian(hello.AsSpan(16), (uint)(4 + name.Length + 2));
        BinaryPrimitives.WriteUInt32BigEndian(hello.AsSpan(20), (uint)name.Length);
        name.CopyTo(hello, 24);
        await stream.WriteAsync(hello, stop);

        (ulong, ushort)? export = null;
        var header = new byte[20];
        while (true)
        {
            await stream.ReadExactlyAsync(header, stop);
            if (BinaryPrimitives.ReadUInt64BigEndian(header) != OptionReplyMagic) throw new InvalidDataException("bad option reply");
            var type = BinaryPrimitives.ReadUInt32BigEndian(header.AsSpan(12));
            var length = BinaryPrimitives.ReadInt32BigEndian(header.AsSpan(16));
            if (length is < 0 or > MaxOptionReplyBytes) throw new InvalidDataException($"option reply of {length} bytes");
            var data = new byte[length];
            await stream.ReadExactlyAsync(data, stop);
            if ((type & ErrorReplyBit) != 0)
                throw new NbdDisconnectedException($"{volume} is refused, reply {type:x}: {Encoding.UTF8.GetString(data)}") { IsForNow = type == ErrorShutdown };
            if (type == InfoReply && BinaryPrimitives.ReadUInt16BigEndian(data) == 0)
                export = (BinaryPrimitives.ReadUInt64BigEndian(data.AsSpan(2)), BinaryPrimitives.ReadUInt16BigEndian(data.AsSpan(10)));
            if (type == AckReply) return export ?? throw new InvalidDataException("GO was acknowledged without NBD_INFO_EXPORT");
        }
    }

    private async Task SendAsync(
        ushort type, ushort flags, long offset, uint length, ReadOnlyMemory<byte> data, Pending pending)
    {
        var cookie = Interlocked.Increment(ref _cookie);
        var request = new byte[28 + data.Length];
        Header(type, cookie, offset, length).CopyTo(request, 0);
        BinaryPrimitives.WriteUInt16BigEndian(request.AsSpan(4), flags);
        data.CopyTo(request.AsMemory(28));
        _pending[cookie] = pending;
        await _sendTurn.WaitAsync();
        try
        {
            await _stream.WriteAsync(request);
        }
        catch (Exception failure) when (failure is IOException or ObjectDisposedException)
        {
            pending.Answer.TrySetException(new NbdDisconnectedException(failure.Message));
        }
        finally
        {
            _sendTurn.Release();
        }

        if (Disconnected.IsCompleted) pending.Answer.TrySetException(new NbdDisconnectedException("the connection has ended"));
    }

    private async Task ReceiveAsync()
    {
        var reason = "the server closed the connection";
        try
        {
            var header = new byte[16];
            while (true)
            {
                await _stream.ReadExactlyAsync(header);
                if (BinaryPrimitives.ReadUInt32BigEndian(header) != SimpleReplyMagic) throw new IOException("no simple reply");
                var error = BinaryPrimitives.ReadUInt32BigEndian(header.AsSpan(4));
                var cookie = BinaryPrimitives.ReadUInt64BigEndian(header.AsSpan(8));
                if (!_pending.TryRemove(cookie, out var pending)) throw new IOException($"a reply to no request: {cookie}");
                if (error == 0) await _stream.ReadExactlyAsync(pending.Buffer);
                pending.Answer.TrySetResult(error);
            }
        }
        catch (Exception failure) when (failure is IOException or ObjectDisposedException)
        {
            reason = failure.Message;
        }

        _disconnected.TrySetResult();
        foreach (var pending in _pending.Values) pending.Answer.TrySetException(new NbdDisconnectedException(reason));
    }

    private sealed record Pending(Memory<byte> Buffer)
    {
        public TaskCompletionSource<uint> Answer { get; } = new(TaskCreationOptions.RunContinuationsAsynchronously);
    }
}

/// <summary>The server dropped the connection: what it had not answered may or may not have happened.</summary>
internal sealed class NbdDisconnectedException(string message) : Exception(message)
{
    /// <summary>The volume is configured, and the node cannot serve it now (ERR_SHUTDOWN).</summary>
    public bool IsForNow { get; init; }
}
