using System.Buffers.Binary;
using System.Net.Sockets;
using System.Text;
using RaftMirror.DataPlane.Nbd.Protocol;
using RaftMirror.DataPlane.Nbd.Server;
using Xunit;

namespace RaftMirror.DataPlane.Tests.Nbd;

/// <summary>A reply as it came: simple, or one chunk.</summary>
internal sealed record TestReply(bool IsStructured, ushort Flags, ushort Type, ulong Cookie, uint Error, byte[] Payload)
{
    public string Text => Encoding.UTF8.GetString(Payload.AsSpan(6));

    /// <summary>The data of a READ without an offset before it.</summary>
    public byte[] Data => IsStructured ? Payload[8..] : Payload;
}

/// <summary>An answer to an option.</summary>
internal sealed record TestOptionReply(uint Option, uint Type, byte[] Data)
{
    public string Text => Encoding.UTF8.GetString(Data);
}

/// <summary>Speaks raw NBD, right or wrong, over a blocking socket with a time limit on every receive.</summary>
internal sealed class NbdTestClient : IDisposable
{
    private readonly Dictionary<ulong, int> _readLengths = [];

    private NbdTestClient(Socket socket)
    {
        Socket = socket;
        socket.ReceiveTimeout = 20_000;
        socket.SendTimeout = 20_000;
    }

    public Socket Socket { get; }

    public ulong SizeBytes { get; private set; }

    public ushort Flags { get; private set; }

    /// <summary>Connects without a word.</summary>
    public static NbdTestClient Connect(NbdEndpoint endpoint, int receiveBufferBytes = 0)
    {
        var isUnix = endpoint.UnixPath is not null;
        var socket = new Socket(
            isUnix ? AddressFamily.Unix : endpoint.Tcp!.AddressFamily, SocketType.Stream, isUnix ? ProtocolType.Unspecified : ProtocolType.Tcp);
        if (receiveBufferBytes > 0) socket.ReceiveBufferSize = receiveBufferBytes;
        socket.Connect(isUnix ? new UnixDomainSocketEndPoint(endpoint.UnixPath!) : endpoint.Tcp!);
        if (!isUnix) socket.NoDelay = true;
        return new NbdTestClient(socket);
    }

    /// <summary>Connects and reads the greeting.</summary>
    public static NbdTestClient Greet(NbdEndpoint endpoint, uint clientFlags = 3, int receiveBufferBytes = 0)
    {
        var client = Connect(endpoint, receiveBufferBytes);
        var greeting = client.Receive(18);
        Assert.Equal("NBDMAGICIHAVEOPT"u8, greeting.AsSpan(0, 16));
        Assert.Equal(3, BinaryPrimitives.ReadUInt16BigEndian(greeting.AsSpan(16)));
        var flags = new byte[4];
        BinaryPrimitives.WriteUInt32BigEndian(flags, clientFlags);
        client.Send(flags);
        return client;
    }

    /// <summary>Connects and attaches an export by GO.</summary>
    public static NbdTestClient Attach(NbdEndpoint endpoint, string export = "set/vol", bool structured = false, int receiveBufferBytes = 0)
    {
        var client = Greet(endpoint, receiveBufferBytes: receiveBufferBytes);
        if (structured) Assert.Equal((uint)OptionReply.Ack, client.Ask(8).Single().Type);
        var replies = client.Ask(7, InfoData(export));
        Assert.Equal((uint)OptionReply.Ack, replies[^1].Type);
        var info = replies.Single(reply => reply.Type == 3 && BinaryPrimitives.ReadUInt16BigEndian(reply.Data) == 0);
        client.SizeBytes = BinaryPrimitives.ReadUInt64BigEndian(info.Data.AsSpan(2));
        client.Flags = BinaryPrimitives.ReadUInt16BigEndian(info.Data.AsSpan(10));
        return client;
    }

    public static byte[] InfoData(string export, params ushort[] requests) => InfoData(Encoding.UTF8.GetBytes(export), requests);

    public static byte[] InfoData(byte[] name, params ushort[] requests)
    {
        var data = new byte[4 + name.Length + 2 + (2 * requests.Length)];
        BinaryPrimitives.WriteUInt32BigEndian(data, (uint)name.Length);
        name.CopyTo(data, 4);
        BinaryPrimitives.WriteUInt16BigEndian(data.AsSpan(4 + name.Length), (ushort)requests.Length);
        for (var i = 0; i < requests.Length; i++)
        {
            BinaryPrimitives.WriteUInt16BigEndian(data.AsSpan(6 + name.Length + (2 * i)), requests[i]);
        }

        return data;
    }

    public static byte[] MetaData(string export, params string[] queries)
    {
        using var stream = new MemoryStream();
        Span<byte> number = stackalloc byte[4];
        void Put(Span<byte> scratch, string text)
        {
            var bytes = Encoding.UTF8.GetBytes(text);
            BinaryPrimitives.WriteUInt32BigEndian(scratch, (uint)bytes.Length);
            stream.Write(scratch);
            stream.Write(bytes);
        }

        Put(number, export);
        BinaryPrimitives.WriteUInt32BigEndian(number, (uint)queries.Length);
        stream.Write(number);
        foreach (var query in queries) Put(number, query);
        return stream.ToArray();
    }

    public static byte[] Option(uint option, byte[]? data = null, uint? claimedLength = null)
    {
        data ??= [];
        var bytes = new byte[16 + data.Length];
        BinaryPrimitives.WriteUInt64BigEndian(bytes, NbdWire.OptionMagic);
        BinaryPrimitives.WriteUInt32BigEndian(bytes.AsSpan(8), option);
        BinaryPrimitives.WriteUInt32BigEndian(bytes.AsSpan(12), claimedLength ?? (uint)data.Length);
        data.CopyTo(bytes, 16);
        return bytes;
    }

    public static byte[] Request(ushort command, ulong cookie, ulong offset, uint length, ushort flags = 0, uint magic = NbdWire.RequestMagic)
    {
        var bytes = new byte[28];
        BinaryPrimitives.WriteUInt32BigEndian(bytes, magic);
        BinaryPrimitives.WriteUInt16BigEndian(bytes.AsSpan(4), flags);
        BinaryPrimitives.WriteUInt16BigEndian(bytes.AsSpan(6), command);
        BinaryPrimitives.WriteUInt64BigEndian(bytes.AsSpan(8), cookie);
        BinaryPrimitives.WriteUInt64BigEndian(bytes.AsSpan(16), offset);
        BinaryPrimitives.WriteUInt32BigEndian(bytes.AsSpan(24), length);
        return bytes;
    }

    /// <summary>Sends an option and reads its replies up to an ACK or an error.</summary>
    public List<TestOptionReply> Ask(uint option, byte[]? data = null)
    {
        Send(Option(option, data));
        var replies = new List<TestOptionReply>();
        do replies.Add(ReceiveOptionReply());
        while (replies[^1].Type is 2 or 3 or 4);
        Assert.All(replies, reply => Assert.Equal(option, reply.Option));
        return replies;
    }

    public TestOptionReply ReceiveOptionReply()
    {
        var head = Receive(20);
        Assert.Equal(NbdWire.OptionReplyMagic, BinaryPrimitives.ReadUInt64BigEndian(head));
        var length = BinaryPrimitives.ReadUInt32BigEndian(head.AsSpan(16));
        return new TestOptionReply(
            BinaryPrimitives.ReadUInt32BigEndian(head.AsSpan(8)), BinaryPrimitives.ReadUInt32BigEndian(head.AsSpan(12)), Receive((int)length));
    }

    public void SendRequest(ushort command, ulong cookie, ulong offset, uint length, ushort flags = 0, byte[]? payload = null)
    {
        if (command == 0) _readLengths[cookie] = (int)length;
        var head = Request(command, cookie, offset, length, flags);
        Send(payload is null ? head : [.. head, .. payload]);
    }

    /// <summary>One request and its reply.</summary>
    public TestReply Do(ushort command, ulong offset, uint length, ushort flags = 0, byte[]? payload = null, ulong cookie = 0xABCD)
    {
        SendRequest(command, cookie, offset, length, flags, payload);
        var reply = ReceiveReply();
        Assert.Equal(cookie, reply.Cookie);
        return reply;
    }

    public TestReply ReceiveReply()
    {
        var magic = BinaryPrimitives.ReadUInt32BigEndian(Receive(4));
        if (magic == NbdWire.SimpleReplyMagic)
        {
            var rest = Receive(12);
            var error = BinaryPrimitives.ReadUInt32BigEndian(rest);
            var cookie = BinaryPrimitives.ReadUInt64BigEndian(rest.AsSpan(4));
            var data = error == 0 && _readLengths.Remove(cookie, out var length) ? Receive(length) : [];
            return new TestReply(false, 1, 0, cookie, error, data);
        }

        Assert.Equal(NbdWire.StructuredReplyMagic, magic);
        var head = Receive(16);
        var type = BinaryPrimitives.ReadUInt16BigEndian(head.AsSpan(2));
        var payload = Receive((int)BinaryPrimitives.ReadUInt32BigEndian(head.AsSpan(12)));
        return new TestReply(
            true,
            BinaryPrimitives.ReadUInt16BigEndian(head),
            type,
            BinaryPrimitives.ReadUInt64BigEndian(head.AsSpan(4)),
            type >= 0x8000 ? BinaryPrimitives.ReadUInt32BigEndian(payload) : 0,
            payload);
    }

    public void Send(ReadOnlySpan<byte> bytes)
    {
        while (bytes.Length > 0) bytes = bytes[Socket.Send(bytes)..];
    }

    public byte[] Receive(int count)
    {
        var bytes = new byte[count];
        for (var done = 0; done < count;)
        {
            var received = Socket.Receive(bytes.AsSpan(done));
            Assert.True(received > 0, $"The server closed after {done} of {count} bytes.");
            done += received;
        }

        return bytes;
    }

    /// <summary>True when the server closes; false if it sends something first.</summary>
    public bool IsClosedByServer()
    {
        try
        {
            return Socket.Receive(new byte[1]) == 0;
        }
        catch (SocketException exception) when (exception.SocketErrorCode == SocketError.ConnectionReset)
        {
            return true;
        }
    }

    /// <summary>Closes with a reset instead of an end of stream.</summary>
    public void Reset()
    {
        Socket.LingerState = new LingerOption(true, 0);
        Socket.Dispose();
    }

    public void Dispose() => Socket.Dispose();
}
