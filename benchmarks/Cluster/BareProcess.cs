using System.Buffers.Binary;
using System.Globalization;
using System.Net;
using System.Net.Sockets;
using System.Text.Json;
using Microsoft.Win32.SafeHandles;
using RaftMirror.Primitives;

namespace RaftMirror.Benchmarks.Cluster;

/// <summary>
/// The bare loop: what is left of a three-node commit when all that a consensus engine does is taken away. `bench-bare DIRECTORY` is a
/// follower: it writes and flushes what comes and says so. `bench-bare DIRECTORY PORT PORT` leads: it takes whatever clients
/// have sent, sends it to both followers, writes and flushes it itself, waits for one of them, and answers. One thread, one
/// round at a time, a file of zeros that is overwritten. No log is kept that could be recovered, and nobody can take over.
/// </summary>
internal static class BareProcess
{
    private const int FileBytes = 64 << 20;
    private const int BlockBytes = 4096;

    public static async Task<int> RunAsync(string[] args)
    {
        Directory.CreateDirectory(args[0]);
        using var file = Linux.Open(Path.Combine(args[0], "log"), writable: true, create: true);
        RandomAccess.Write(file, new byte[FileBytes], 0);
        Linux.DataSync(file);
        using var listener = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        listener.Bind(new IPEndPoint(IPAddress.Loopback, 0));
        listener.Listen(128);
        await Console.Out.WriteLineAsync($"ready {((IPEndPoint)listener.LocalEndPoint!).Port}");
        var writer = new Writer(file);
        var peers = args[1..].Select(port => int.Parse(port, CultureInfo.InvariantCulture)).ToArray();
        var body = peers.Length == 0 ? (ThreadStart)(() => Follow(listener, writer)) : () => new Leader(listener, writer, peers).Run();
        new Thread(body) { IsBackground = true }.Start();
        await Console.In.ReadToEndAsync();
        return 0;
    }

    private static void Follow(Socket listener, Writer writer)
    {
        using var leader = listener.Accept();
        leader.NoDelay = true;
        var buffer = new byte[8 << 20];
        var acknowledgement = new byte[4];
        try
        {
            while (true)
            {
                ReceiveExactly(leader, buffer.AsSpan(0, 8));
                var length = BinaryPrimitives.ReadInt32LittleEndian(buffer);
                buffer.AsSpan(4, 4).CopyTo(acknowledgement);
                ReceiveExactly(leader, buffer.AsSpan(0, length));
                writer.WriteAndFlush(buffer.AsSpan(0, length));
                leader.Send(acknowledgement);
            }
        }
        catch (Exception error) when (error is SocketException or EndOfStreamException)
        {
            // The leader ended; so does this process, when its input does.
        }
    }

    private static void ReceiveExactly(Socket socket, Span<byte> buffer)
    {
        while (buffer.Length > 0)
        {
            var count = socket.Receive(buffer);
            if (count == 0) throw new EndOfStreamException();
            buffer = buffer[count..];
        }
    }

    /// <summary>Overwrites the file in whole blocks from front to end, again and again.</summary>
    private sealed class Writer(SafeFileHandle file)
    {
        private byte[] _blocks = new byte[1 << 20];
        private long _position;

        public void WriteAndFlush(ReadOnlySpan<byte> data)
        {
            var length = (data.Length + BlockBytes - 1) / BlockBytes * BlockBytes;
            if (_blocks.Length < length) _blocks = new byte[length];
            data.CopyTo(_blocks);
            if (_position + length > FileBytes) _position = 0;
            RandomAccess.Write(file, _blocks.AsSpan(0, length), _position);
            _position += length;
            Linux.DataSync(file);
        }
    }

    private sealed class Leader
    {
        private readonly Socket _listener;
        private readonly Writer _writer;
        private readonly List<Client> _clients = [];
        private readonly List<Socket> _followers = [];
        private readonly int[] _acknowledged;
        private readonly byte[] _send = new byte[8 << 20];
        private int _round;
        private long _applied;

        public Leader(Socket listener, Writer writer, int[] peers)
        {
            _listener = listener;
            _writer = writer;
            _acknowledged = new int[peers.Length];
            foreach (var port in peers)
            {
                var socket = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp) { NoDelay = true };
                socket.Connect(IPAddress.Loopback, port);
                _followers.Add(socket);
            }
        }

        public void Run()
        {
            while (true)
            {
                var readable = _clients.Select(client => client.Socket).Append(_listener).ToList();
                Socket.Select(readable, null, null, -1);
                if (readable.Remove(_listener)) _clients.Add(new Client(_listener.Accept()));
                var bytes = 8;
                foreach (var client in _clients.Where(client => readable.Contains(client.Socket)).ToArray())
                {
                    if (!client.TryReceive()) _clients.Remove(client);
                    bytes = client.TakePuts(_send, bytes, StatusNow);
                }

                if (bytes > 8) Replicate(bytes);
                foreach (var client in _clients) _applied += client.AnswerPuts();
            }
        }

        private ProcessStatus StatusNow() => new(Environment.ProcessId, true, 1, _applied, GC.GetTotalAllocatedBytes());

        private void Replicate(int bytes)
        {
            BinaryPrimitives.WriteInt32LittleEndian(_send, bytes - 8);
            BinaryPrimitives.WriteInt32LittleEndian(_send.AsSpan(4), ++_round);
            foreach (var follower in _followers)
            {
                for (var sent = 0; sent < bytes;) sent += follower.Send(_send.AsSpan(sent, bytes - sent));
            }

            _writer.WriteAndFlush(_send.AsSpan(8, bytes - 8));
            var number = new byte[4];
            while (!_acknowledged.Contains(_round))
            {
                var readable = _followers.ToList();
                Socket.Select(readable, null, null, -1);
                foreach (var socket in readable)
                {
                    ReceiveExactly(socket, number);
                    _acknowledged[_followers.IndexOf(socket)] = BinaryPrimitives.ReadInt32LittleEndian(number);
                }
            }
        }
    }

    private sealed class Client
    {
        private readonly byte[] _buffer = new byte[ClientProtocol.MaxFrameBytes + 4];
        private readonly List<ulong> _taken = [];
        private byte[] _answers = new byte[64 * 1024];
        private int _filled;

        public Client(Socket socket)
        {
            Socket = socket;
            Socket.NoDelay = true;
        }

        public Socket Socket { get; }

        public bool TryReceive()
        {
            try
            {
                var count = Socket.Receive(_buffer.AsSpan(_filled));
                _filled += count;
                if (count > 0) return true;
            }
            catch (SocketException)
            {
                // Killed: the same as closed.
            }

            Socket.Dispose();
            return false;
        }

        /// <summary>Moves whole puts to <paramref name="batch"/> from <paramref name="bytes"/> on; returns the new length.</summary>
        public int TakePuts(byte[] batch, int bytes, Func<ProcessStatus> status)
        {
            var taken = 0;
            while (ClientProtocol.FrameLength(_buffer.AsSpan(taken, _filled - taken)) is var length and > 0)
            {
                var frame = _buffer.AsSpan(taken, length);
                taken += length;
                if (frame[4] == ClientProtocol.Status)
                {
                    var body = JsonSerializer.SerializeToUtf8Bytes(status());
                    var answer = new byte[ClientProtocol.HeaderBytes + body.Length];
                    ClientProtocol.WriteHeader(answer, ClientProtocol.Done, ClientProtocol.Id(frame), body.Length);
                    body.CopyTo(answer, ClientProtocol.HeaderBytes);
                    Socket.Send(answer);
                    continue;
                }

                frame.CopyTo(batch.AsSpan(bytes));
                bytes += length;
                _taken.Add(ClientProtocol.Id(frame));
            }

            _buffer.AsSpan(taken, _filled - taken).CopyTo(_buffer);
            _filled -= taken;
            return bytes;
        }

        public int AnswerPuts()
        {
            if (_taken.Count == 0) return 0;
            var bytes = _taken.Count * ClientProtocol.HeaderBytes;
            if (_answers.Length < bytes) _answers = new byte[bytes];
            for (var i = 0; i < _taken.Count; i++)
                ClientProtocol.WriteHeader(_answers.AsSpan(i * ClientProtocol.HeaderBytes), ClientProtocol.Done, _taken[i], 0);
            var count = _taken.Count;
            _taken.Clear();
            try
            {
                for (var sent = 0; sent < bytes;) sent += Socket.Send(_answers.AsSpan(sent, bytes - sent));
            }
            catch (SocketException)
            {
                // Killed: the next receive says so.
            }

            return count;
        }
    }
}
