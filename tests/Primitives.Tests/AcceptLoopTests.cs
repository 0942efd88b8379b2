using System.Net;
using System.Net.Sockets;
using Xunit;

namespace RaftMirror.Primitives.Tests;

/// <summary>A listener goes on whatever runs out, and says so once per episode.</summary>
public sealed class AcceptLoopTests
{
    [Theory] // EMFILE, ENFILE, ENOBUFS, ENOMEM, and one that nobody thought of.
    [InlineData(24, "EMFILE")]
    [InlineData(23, "ENFILE")]
    [InlineData(105, "ENOBUFS")]
    [InlineData(12, "errno 12")]
    [InlineData(75, "errno 75")]
    public async Task Accept_Fails_ClientWaitsAndIsServedLater(int errno, string named)
    {
        await using var bench = new Bench(errno);
        using var client = bench.Connect();
        await Eventually(() => bench.Loop.Episode is { Refused: > 2 });
        Assert.Contains(named, bench.Loop.Episode!.Reason, StringComparison.Ordinal);
        Assert.Equal(0, bench.Admitted);
        bench.Errno = 0;
        await Eventually(() => bench.Admitted == 1);
        Assert.Equal(0, bench.Ended);
        bench.Time.Pass(Bench.Calm);
        await Eventually(() => bench.Ended == 1);
        Assert.Equal(1, bench.Began);
        Assert.Null(bench.Loop.Episode);
    }

    [Fact] // The client left the queue: that is its own affair.
    public async Task Accept_ClientGone_IsNoEpisode()
    {
        await using var bench = new Bench(103);
        using var client = bench.Connect();
        await Eventually(() => bench.Calls > 2);
        bench.Errno = 0;
        await Eventually(() => bench.Admitted == 1);
        Assert.Equal(0, bench.Began);
    }

    [Fact] // A connection in the part that is kept for others is closed, and the client sees it at once.
    public async Task Accept_DescriptorInTheReserve_IsClosed()
    {
        await using var bench = new Bench(0, descriptorsBelow: 3);
        using var client = bench.Connect();
        Assert.Equal(0, client.Receive(new byte[1]));
        await Eventually(() => bench.Loop.Episode is { Refused: 1 });
        Assert.Equal(0, bench.Admitted);
    }

    [Fact] // Whatever admission throws ends that connection, not the loop.
    public async Task Admit_Throws_NextClientIsServed()
    {
        await using var bench = new Bench(0) { AdmitFailure = new IOException("no thread") };
        using var first = bench.Connect();
        Assert.Equal(0, first.Receive(new byte[1]));
        bench.AdmitFailure = null;
        using var second = bench.Connect();
        await Eventually(() => bench.Admitted == 1);
        Assert.Equal(1, bench.Began);
    }

    [Fact] // A limit's upper part is kept from NBD, less of it from HTTP, least from the nodes.
    public void Tiers_OfAnyLimit_LeaveSomethingForEachNextOne()
    {
        foreach (var limit in (long[])[64, 256, 512, 1024, 4096, 65536, 1 << 20, DescriptorTiers.Unlimited])
        {
            var tiers = DescriptorTiers.Of(limit);
            Assert.True(tiers.NbdBelow < tiers.HttpBelow && tiers.HttpBelow < tiers.PeerBelow && tiers.PeerBelow < limit, tiers.ToString());
            Assert.True(tiers.NbdBelow >= limit - 1024 || tiers.NbdBelow >= limit / 2);
        }
    }

    [Fact] // It is the hard limit's, whatever the soft one was.
    public void RaiseLimit_IsIdempotent() => Assert.Equal(Descriptors.RaiseLimit(), Descriptors.RaiseLimit());

    private static async Task Eventually(Func<bool> condition)
    {
        var deadline = Environment.TickCount64 + 30_000;
        using var timer = new PeriodicTimer(TimeSpan.FromMilliseconds(5));
        while (!condition())
        {
            Assert.True(Environment.TickCount64 < deadline, "It never came about.");
            await timer.WaitForNextTickAsync();
        }
    }

    private sealed class Bench : IAsyncDisposable
    {
        private readonly Socket _listener = new(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        private readonly List<Socket> _admitted = [];
        private volatile int _errno;
        private int _calls;
        private int _began;
        private int _ended;

        public Bench(int errno, int descriptorsBelow = int.MaxValue)
        {
            _errno = errno;
            _listener.Bind(new IPEndPoint(IPAddress.Loopback, 0));
            _listener.Listen(16);
            Loop = new AcceptLoop(
                _listener,
                new AcceptOptions
                {
                    Name = "test accept",
                    DescriptorsBelow = descriptorsBelow,
                    Began = _ => Interlocked.Increment(ref _began),
                    Ended = _ => Interlocked.Increment(ref _ended),
                    Calm = Calm,
                    Time = Time, // Stands still until a test lets it pass: how slow the machine is decides nothing.
                    Accept = listener =>
                    {
                        Interlocked.Increment(ref _calls);
                        return _errno == 0 ? AcceptLoop.SystemAccept(listener) : -_errno;
                    },
                },
                socket =>
                {
                    if (AdmitFailure is { } failure) throw failure;
                    lock (_admitted) _admitted.Add(socket);
                    return null;
                });
        }

        public static TimeSpan Calm { get; } = TimeSpan.FromSeconds(10);

        public TestTime Time { get; } = new();

        public AcceptLoop Loop { get; }

        public Exception? AdmitFailure { get; set; }

        public int Errno { set => _errno = value; }

        public int Calls => Volatile.Read(ref _calls);

        public int Began => Volatile.Read(ref _began);

        public int Ended => Volatile.Read(ref _ended);

        public int Admitted
        {
            get
            {
                lock (_admitted) return _admitted.Count;
            }
        }

        public Socket Connect()
        {
            var socket = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp) { ReceiveTimeout = 20_000 };
            socket.Connect(_listener.LocalEndPoint!);
            return socket;
        }

        public ValueTask DisposeAsync()
        {
            Loop.Dispose();
            _admitted.ForEach(socket => socket.Dispose());
            return ValueTask.CompletedTask;
        }
    }

    private sealed class TestTime : TimeProvider
    {
        private long _ticks;

        public void Pass(TimeSpan time) => Interlocked.Add(ref _ticks, time.Ticks);

        public override DateTimeOffset GetUtcNow() => DateTimeOffset.UnixEpoch.AddTicks(Interlocked.Read(ref _ticks));
    }
}
