using System.Net.Sockets;
using Microsoft.Extensions.Logging;
using RaftMirror.Primitives;

namespace RaftMirror.Consensus.Transport;

/// <summary>Accepts connections and shakes hands. Those that have not said who they are are bounded, the oldest goes first; they
/// cost nobody else anything. A few of them have a thread of their own, so that the reader of a Raft connection has had one from its
/// first byte on (see <see cref="PeerStream"/>); whoever opens many gets no more threads than that. Any thread.</summary>
internal sealed class PeerListener : IAsyncDisposable
{
    private const int MaxThreads = 8;

    private readonly Handshaker _handshaker;
    private readonly TransportLimits _limits;
    private readonly Func<PeerConnection, Hello, Arrival, Task> _serve;
    private readonly ILogger _logger;
    private readonly CancellationTokenSource _stop = new();
    private readonly object _gate = new();
    private readonly LinkedList<(Socket Socket, string Remote)> _handshaking = [];
    private readonly HashSet<Task> _serving = [];
    private readonly AcceptLoop _accepting;
    private long _accepted;

    /// <param name="listener">Bound and listening; owned from now on.</param>
    /// <param name="handshaker">Lets them in.</param>
    /// <param name="limits">Bounds.</param>
    /// <param name="serve">Serves a connection to its end; owns it. If it has a thread, this may block. Throws IOException and its like when
    /// it ends.</param>
    /// <param name="logger">For refusals.</param>
    public PeerListener(
        Socket listener, Handshaker handshaker, TransportLimits limits, Func<PeerConnection, Hello, Arrival, Task> serve, ILogger logger)
    {
        _handshaker = handshaker;
        _limits = limits;
        _serve = serve;
        _logger = logger;
        _accepting = new AcceptLoop(
            listener,
            new AcceptOptions
            {
                Name = "peer accept",
                DescriptorsBelow = limits.DescriptorsBelow,
                Began = episode => TransportLogMessages.AcceptFailed(logger, episode.Reason),
                Ended = episode => TransportLogMessages.AcceptsAgain(logger, episode.Refused, episode.Since),
            },
            Begin);
    }

    /// <summary>Connections that have not said who they are.</summary>
    public int Handshaking
    {
        get
        {
            lock (_gate) return _handshaking.Count;
        }
    }

    /// <summary>What peers are turned away for at this moment; null if they are not.</summary>
    public AcceptEpisode? Refusing => _accepting.Episode;

    /// <summary>Accepts nothing more and ends handshakes; waits for those who serve, whose connections the owner has ended.</summary>
    public async ValueTask DisposeAsync()
    {
        await _stop.CancelAsync();
        await Task.Run(_accepting.Dispose);
        Task[] serving;
        lock (_gate)
        {
            foreach (var (socket, _) in _handshaking) PeerConnection.HangUp(socket);
            serving = [.. _serving];
        }

        await Task.WhenAll(serving);
    }

    private string? Begin(Socket socket)
    {
        Begin(socket, socket.RemoteEndPoint?.ToString() ?? "?");
        return null; // Too many handshakes cost the oldest its place, not the newest.
    }

    private void Begin(Socket socket, string remote)
    {
        lock (_gate)
        {
            while (_handshaking.Count >= _limits.MaxHandshaking)
            {
                var oldest = _handshaking.First!.Value;
                _handshaking.RemoveFirst();
                PeerConnection.HangUp(oldest.Socket);
                TransportLogMessages.HandshakeEvicted(_logger, oldest.Remote);
            }

            var arrival = new Arrival(remote, ++_accepted, HasThread: _handshaking.Count < MaxThreads);
            var place = _handshaking.AddLast((socket, remote));
            Task task;
            try
            {
                task = arrival.HasThread
                    ? OnOwnThread(() => ServeAsync(socket, arrival, place)).Unwrap()
                    : Task.Run(() => ServeAsync(socket, arrival, place));
            }
            catch (TaskSchedulerException error)
            {
                // The system gives no more threads: the pool has some.
                TransportLogMessages.NoThread(_logger, remote, error.Message);
                task = Task.Run(() => ServeAsync(socket, arrival with { HasThread = false }, place));
            }

            _serving.Add(task);
            _ = task.ContinueWith(Forget, CancellationToken.None, TaskContinuationOptions.None, TaskScheduler.Default);
        }
    }

    private static Task<Task> OnOwnThread(Func<Task> serve) =>
        Task.Factory.StartNew(serve, CancellationToken.None, TaskCreationOptions.LongRunning, TaskScheduler.Default);

    private void Forget(Task task)
    {
        lock (_gate) _serving.Remove(task);
    }

    private async Task ServeAsync(Socket socket, Arrival arrival, LinkedListNode<(Socket Socket, string Remote)> place)
    {
        try
        {
            PeerConnection connection;
            Hello hello;
            try
            {
                (connection, hello) = await _handshaker.AcceptAsync(socket, arrival, _stop.Token);
            }
            catch
            {
                socket.Dispose();
                throw;
            }
            finally
            {
                lock (_gate)
                {
                    if (place.List is not null) _handshaking.Remove(place);
                }
            }

            await _serve(connection, hello, arrival);
        }
        catch (Exception error) when (error is IOException or SocketException or OperationCanceledException or ObjectDisposedException)
        {
            TransportLogMessages.InboundEnded(_logger, arrival.Remote, error.Message);
        }
    }
}
