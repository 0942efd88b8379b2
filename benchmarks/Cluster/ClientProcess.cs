using System.Diagnostics;
using System.Globalization;
using System.Net;
using System.Net.Sockets;
using System.Text.Json;

namespace RaftMirror.Benchmarks.Cluster;

/// <summary>What one run of the load generator saw.</summary>
/// <param name="Commits">Answers within the measured time.</param>
/// <param name="AllCommits">Answers altogether, warm-up included.</param>
/// <param name="Failed">Answers that were no commits.</param>
/// <param name="Seconds">The measured time.</param>
/// <param name="P50Us">Latencies in microseconds.</param>
internal sealed record LoadResult(
    long Commits, long AllCommits, long Failed, double Seconds, double P50Us, double P99Us, double P999Us, double MaxUs)
{
    /// <param name="latencies">In microseconds; sorted here.</param>
    public static LoadResult From(double[] latencies, long allCommits, long failed, double seconds)
    {
        Array.Sort(latencies);
        if (latencies.Length == 0) throw new InvalidOperationException("Nothing was answered in the measured time.");
        double At(double share) => latencies[Math.Min(latencies.Length - 1, (int)(latencies.Length * share))];
        return new LoadResult(latencies.Length, allCommits, failed, seconds, At(0.5), At(0.99), At(0.999), At(1));
    }
}

/// <summary>`bench-client PORT OUTSTANDING WARMUP SECONDS VALUEBYTES`: puts in a closed loop, so many outstanding over at most four
/// connections, a thread each; prints a <see cref="LoadResult"/> as JSON. All answers that have come are taken, then as many
/// requests leave in one send.</summary>
internal static class ClientProcess
{
    /// <summary>Connections for so many outstanding commands.</summary>
    public static int Connections(int outstanding) => outstanding switch { < 16 => 1, < 128 => 2, _ => 4 };

    public static async Task<int> RunAsync(string[] args)
    {
        var port = int.Parse(args[0], CultureInfo.InvariantCulture);
        var outstanding = int.Parse(args[1], CultureInfo.InvariantCulture);
        var warmUp = double.Parse(args[2], CultureInfo.InvariantCulture);
        var seconds = double.Parse(args[3], CultureInfo.InvariantCulture);
        var valueBytes = int.Parse(args[4], CultureInfo.InvariantCulture);
        var connections = Connections(outstanding);
        var from = Stopwatch.GetTimestamp() + (long)(warmUp * Stopwatch.Frequency);
        var to = from + (long)(seconds * Stopwatch.Frequency);
        var loops = new List<Loop>();
        var tasks = new List<Task>();
        for (var i = 0; i < connections; i++)
        {
            var share = (outstanding / connections) + (i < outstanding % connections ? 1 : 0);
            var loop = new Loop(port, share, from, to, valueBytes);
            loops.Add(loop);
            tasks.Add(Task.Factory.StartNew(loop.Run, CancellationToken.None, TaskCreationOptions.LongRunning, TaskScheduler.Default));
        }

        await Task.WhenAll(tasks);
        var latencies = loops.SelectMany(loop => loop.Latencies).Select(ticks => ticks * 1e6 / Stopwatch.Frequency).ToArray();
        var result = LoadResult.From(latencies, loops.Sum(loop => loop.All), loops.Sum(loop => loop.Failed), seconds);
        await Console.Out.WriteLineAsync(JsonSerializer.Serialize(result));
        return 0;
    }

    private sealed class Loop(int port, int outstanding, long from, long to, int valueBytes)
    {
        private readonly long[] _sentAt = new long[outstanding];

        public List<uint> Latencies { get; } = new(1 << 18);

        public long All { get; private set; }

        public long Failed { get; private set; }

        public void Run()
        {
            using var socket = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp) { NoDelay = true };
            socket.Connect(IPAddress.Loopback, port);
            var request = ClientProtocol.MakePut(valueBytes);
            var sending = new byte[request.Length * outstanding];
            for (var slot = 0; slot < outstanding; slot++)
                AddRequest(sending.AsSpan(slot * request.Length), request, (ulong)slot, Stopwatch.GetTimestamp());
            SendAll(socket, sending);
            var buffer = new byte[256 * 1024];
            var filled = 0;
            for (var open = outstanding; open > 0;)
            {
                var count = socket.Receive(buffer.AsSpan(filled));
                if (count == 0) throw new IOException("the server closed the connection");
                filled += count;
                var now = Stopwatch.GetTimestamp();
                int taken = 0, again = 0;
                while (ClientProtocol.FrameLength(buffer.AsSpan(taken, filled - taken)) is var length and > 0)
                {
                    var slot = ClientProtocol.Id(buffer.AsSpan(taken));
                    Count(buffer[taken + 4], _sentAt[slot], now);
                    taken += length;
                    if (now < to) AddRequest(sending.AsSpan(request.Length * again++), request, slot, now);
                    else open--;
                }

                buffer.AsSpan(taken, filled - taken).CopyTo(buffer);
                filled -= taken;
                SendAll(socket, sending.AsSpan(0, again * request.Length));
            }
        }

        private static void SendAll(Socket socket, ReadOnlySpan<byte> data)
        {
            while (data.Length > 0) data = data[socket.Send(data)..];
        }

        private void AddRequest(Span<byte> place, ReadOnlySpan<byte> request, ulong slot, long now)
        {
            request.CopyTo(place);
            ClientProtocol.WriteHeader(place, ClientProtocol.Put, slot, request.Length - ClientProtocol.HeaderBytes);
            _sentAt[slot] = now;
        }

        private void Count(byte status, long sentAt, long now)
        {
            if (status != ClientProtocol.Done)
            {
                Failed++;
                return;
            }

            All++;
            if (now >= from && now < to) Latencies.Add((uint)Math.Min(now - sentAt, uint.MaxValue));
        }
    }
}

/// <summary>`bench-spin`: keeps one processor busy until its standard input ends.</summary>
internal static class SpinProcess
{
    public static async Task<int> RunAsync(string[] args)
    {
        var isOver = false;
        var thread = new Thread(() =>
        {
            while (!Volatile.Read(ref isOver)) Thread.SpinWait(1000);
        });
        thread.Start();
        await Console.Out.WriteLineAsync("ready 0");
        await Console.In.ReadToEndAsync();
        Volatile.Write(ref isOver, true);
        thread.Join();
        return 0;
    }
}
