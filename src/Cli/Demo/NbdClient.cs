using System.Buffers.Binary;
using System.Net.Sockets;
using System.Text;

namespace RaftMirror.Cli.Demo;

/// <summary>A small NBD client: fixed newstyle, simple replies, one request at a time. It is a client like any other and
/// shares no code with the server. One caller at a time. A lost connection is an <see cref="IOException"/>; the request
/// that was under way may or may not have been carried out.</summary>
/// <remarks>NBD protocol, doc/proto.md: newstyle handshake, NBD_OPT_GO, transmission. Everything is big-endian.</remarks>
internal sealed class NbdClient : IAsyncDisposable
{
    private const ulong InitMagic = 0x4e42444d41474943; // "NBDMAGIC"
    private const ulong OptionMagic = 0x49484156454f5054; // "IHAVEOPT"
    private const ulong OptionReplyMagic = 0x0003e889045565a9;
    private const uint RequestMagic = 0x25609513;
    private const uint SimpleReplyMagic = 0x67446698;
    private const uint OptionGo = 7;
    private const uint ReplyAck = 1;
    private const uint ReplyInfo = 3;
    private const ushort InfoExport = 0;
    private const int MaxOptionReplyBytes = 64 << 10;

    private readonly Socket _socket;
    private readonly NetworkStream _stream;
    private readonly byte[] _header = new byte[28];
    private ulong _cookie;

    private NbdClient(Socket socket)
    {
        _socket = socket;
        _stream = new NetworkStream(socket, ownsSocket: true);
    }

    /// <summary>Size of the export, bytes.</summary>
    public long SizeBytes { get; private set; }

    /// <summary>Attaches an export.</summary>
    /// <exception cref="IOException">No connection, refused, or not NBD.</exception>
    public static async Task<NbdClient> ConnectAsync(System.Net.EndPoint endpoint, string export, CancellationToken cancellationToken)
    {
        var isUnix = endpoint is UnixDomainSocketEndPoint;
        var socket = isUnix
            ? new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified)
            : new Socket(endpoint.AddressFamily, SocketType.Stream, ProtocolType.Tcp) { NoDelay = true };
        try
        {
            await socket.ConnectAsync(endpoint, cancellationToken);
        }
        catch (SocketException failure)
        {
            socket.Dispose();
            throw new IOException($"{endpoint}: {failure.Message}", failure);
        }

        var client = new NbdClient(socket);
        try
        {
            await client.NegotiateAsync(export, cancellationToken);
            return client;
        }
        catch
        {
            await client.DisposeAsync();
            throw;
        }
    }

    /// <summary>Reads into the whole of <paramref name="destination"/>.</summary>
    public Task ReadAsync(long offset, Memory<byte> destination, CancellationToken cancellationToken) =>
        RequestAsync(0, 0, offset, destination.Length, default, destination, cancellationToken);

    /// <summary>Writes; returns once the server has acknowledged it.</summary>
    public Task WriteAsync(long offset, ReadOnlyMemory<byte> source, CancellationToken cancellationToken) =>
        RequestAsync(1, 0, offset, source.Length, source, default, cancellationToken);

    public Task FlushAsync(CancellationToken cancellationToken) => RequestAsync(3, 0, 0, 0, default, default, cancellationToken);

    public async ValueTask DisposeAsync()
    {
        if (_socket.Connected)
        {
            try
            {
                WriteRequest(2, 0, 0, 0); // NBD_CMD_DISC has no reply.
                await _stream.WriteAsync(_header);
            }
            catch (IOException)
            {
                // The server has gone already: there is nobody to say goodbye to.
            }
        }

        await _stream.DisposeAsync();
    }

    private async Task NegotiateAsync(string export, CancellationToken cancellationToken)
    {
        var hello = await ReadBytesAsync(18, cancellationToken);
        Check(BinaryPrimitives.ReadUInt64BigEndian(hello) == InitMagic, "the server does not speak NBD");
        Check(BinaryPrimitives.ReadUInt64BigEndian(hello.AsSpan(8)) == OptionMagic, "the server does not speak newstyle NBD");
        var serverFlags = BinaryPrimitives.ReadUInt16BigEndian(hello.AsSpan(16));
        Check((serverFlags & 1) != 0, "the server does not speak fixed newstyle NBD");
        var clientFlags = new byte[4];
        BinaryPrimitives.WriteUInt32BigEndian(clientFlags, (uint)(serverFlags & 3));
        await _stream.WriteAsync(clientFlags, cancellationToken);

        // NBD_OPT_GO: name length, name, number of information requests (none).
        var name = Encoding.UTF8.GetBytes(export);
        var option = new byte[16 + 4 + name.Length + 2];
        BinaryPrimitives.WriteUInt64BigEndian(option, OptionMagic);
        BinaryPrimitives.WriteUInt32BigEndian(option.AsSpan(8), OptionGo);
        BinaryPrimitives.WriteUInt32BigEndian(option.AsSpan(12), (uint)(4 + name.Length + 2));
        BinaryPrimitives.WriteUInt32BigEndian(option.AsSpan(16), (uint)name.Length);
        name.CopyTo(option.AsSpan(20));
        await _stream.WriteAsync(option, cancellationToken);
        while (true)
        {
            var reply = await ReadBytesAsync(20, cancellationToken);
            Check(BinaryPrimitives.ReadUInt64BigEndian(reply) == OptionReplyMagic, "bad option reply");
            var type = BinaryPrimitives.ReadUInt32BigEndian(reply.AsSpan(12));
            var length = BinaryPrimitives.ReadUInt32BigEndian(reply.AsSpan(16));
            Check(length <= MaxOptionReplyBytes, "an option reply is too long");
            var data = await ReadBytesAsync((int)length, cancellationToken);
            if (type == ReplyAck) return;
            Check((type & 0x80000000) == 0, $"export '{export}' was refused: {Encoding.UTF8.GetString(data)} (error {type & 0x7fffffff})");
            if (type == ReplyInfo && length >= 12 && BinaryPrimitives.ReadUInt16BigEndian(data) == InfoExport)
                SizeBytes = BinaryPrimitives.ReadInt64BigEndian(data.AsSpan(2));
        }
    }

    private async Task RequestAsync(
        ushort type, ushort flags, long offset, int length, ReadOnlyMemory<byte> payload, Memory<byte> answer, CancellationToken cancellationToken)
    {
        try
        {
            var cookie = WriteRequest(type, flags, offset, length);
            await _stream.WriteAsync(_header, cancellationToken);
            if (!payload.IsEmpty) await _stream.WriteAsync(payload, cancellationToken);
            await _stream.ReadExactlyAsync(_header.AsMemory(0, 16), cancellationToken);
            Check(BinaryPrimitives.ReadUInt32BigEndian(_header) == SimpleReplyMagic, "bad reply");
            Check(BinaryPrimitives.ReadUInt64BigEndian(_header.AsSpan(8)) == cookie, "the reply is another request's");
            var error = BinaryPrimitives.ReadUInt32BigEndian(_header.AsSpan(4));
            if (error != 0) throw new NbdErrorException(error);
            if (!answer.IsEmpty) await _stream.ReadExactlyAsync(answer, cancellationToken);
        }
        catch (SocketException failure)
        {
            throw new IOException(failure.Message, failure);
        }
    }

    private ulong WriteRequest(ushort type, ushort flags, long offset, int length)
    {
        BinaryPrimitives.WriteUInt32BigEndian(_header, RequestMagic);
        BinaryPrimitives.WriteUInt16BigEndian(_header.AsSpan(4), flags);
        BinaryPrimitives.WriteUInt16BigEndian(_header.AsSpan(6), type);
        BinaryPrimitives.WriteUInt64BigEndian(_header.AsSpan(8), ++_cookie);
        BinaryPrimitives.WriteInt64BigEndian(_header.AsSpan(16), offset);
        BinaryPrimitives.WriteInt32BigEndian(_header.AsSpan(24), length);
        return _cookie;
    }

    private async Task<byte[]> ReadBytesAsync(int length, CancellationToken cancellationToken)
    {
        var bytes = new byte[length];
        await _stream.ReadExactlyAsync(bytes, cancellationToken);
        return bytes;
    }

    private static void Check(bool condition, string what)
    {
        if (!condition) throw new IOException("NBD: " + what);
    }
}

/// <summary>The server refused a request; the connection is fine.</summary>
internal sealed class NbdErrorException(uint error) : Exception($"NBD error {error}")
{
    /// <summary>NBD error number (as errno).</summary>
    public uint Error { get; } = error;
}
