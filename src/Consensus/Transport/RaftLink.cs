using System.Net.Sockets;
using System.Threading.Channels;
using Microsoft.Extensions.Logging;
using RaftMirror.Consensus.Messages;

namespace RaftMirror.Consensus.Transport;

/// <summary>The way of Raft messages to one peer: a bounded outbox and a task that dials, sends and dials again. When the peer
/// is slow or away messages are dropped: the core repeats what matters.</summary>
internal sealed class RaftLink : IAsyncDisposable
{
    private const int MaxQueuedMessages = 4096;
    private const long MaxQueuedBytes = 32 * 1024 * 1024;
    private const int MinBackoffMs = 50;
    private const int MaxBackoffMs = 500;

    private readonly PeerDirectory _directory;
    private readonly NodeId _peer;
    private readonly ILogger _logger;
    private readonly CancellationTokenSource _stop = new();
    private readonly Channel<Message> _outbox = Channel.CreateBounded<Message>(
        new BoundedChannelOptions(MaxQueuedMessages) { SingleReader = true, FullMode = BoundedChannelFullMode.Wait });

    private readonly Task _run;
    private long _queuedBytes;
    private volatile bool _isUp;

    public RaftLink(PeerDirectory directory, NodeId peer, ILogger logger)
    {
        _directory = directory;
        _peer = peer;
        _logger = logger;
        _run = Task.Run(RunAsync);
    }

    /// <summary>Queues a message, or drops it. Never waits. Any thread.</summary>
    public void Send(in Message message)
    {
        var bytes = MessageCodec.Length(message);
        if (!_isUp || Interlocked.Read(ref _queuedBytes) > MaxQueuedBytes) return;
        Interlocked.Add(ref _queuedBytes, bytes);
        if (!_outbox.Writer.TryWrite(message)) Interlocked.Add(ref _queuedBytes, -bytes);
    }

    public async ValueTask DisposeAsync()
    {
        await _stop.CancelAsync();
        await _run;
        _stop.Dispose();
    }

    private async Task RunAsync()
    {
        var backoffMs = MinBackoffMs;
        string? lastReason = null;
        while (!_stop.IsCancellationRequested)
        {
            try
            {
                var (stream, reply) = await _directory.DialAsync(_peer, Lane.Raft, _stop.Token);
                using (stream)
                {
                    Log.Connected(_logger, Lane.Raft, _peer, reply.Incarnation);
                    backoffMs = MinBackoffMs;
                    lastReason = null;
                    _isUp = true;
                    await SendAllAsync(stream);
                }
            }
            catch (Exception error) when (error is IOException or SocketException or OperationCanceledException or ObjectDisposedException)
            {
                // Said once per reason: a peer that is down for a day fills no log.
                if (!_stop.IsCancellationRequested && error.Message != lastReason)
                {
                    lastReason = error.Message;
                    if (error is HandshakeRefusedException refused) Log.RefusedByPeer(_logger, _peer, Lane.Raft, refused.Status);
                    else Log.Disconnected(_logger, Lane.Raft, _peer, error.Message);
                }
            }

            _isUp = false;
            while (_outbox.Reader.TryRead(out var dropped)) Interlocked.Add(ref _queuedBytes, -MessageCodec.Length(dropped));

            // Backoff between dials: there is no event that tells that a peer has come back.
            await Task.Delay(backoffMs, _stop.Token).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
            backoffMs = Math.Min(backoffMs * 2, MaxBackoffMs);
        }
    }

    private async Task SendAllAsync(FrameStream stream)
    {
        using var ended = CancellationTokenSource.CreateLinkedTokenSource(_stop.Token);
        var watch = WatchEndAsync(stream, ended);
        try
        {
            await foreach (var message in _outbox.Reader.ReadAllAsync(ended.Token))
            {
                var length = MessageCodec.Length(message);
                Interlocked.Add(ref _queuedBytes, -length);
                var frame = FrameStream.Rent(length);
                MessageCodec.Encode(message, frame.AsSpan(FrameStream.HeaderBytes));
                FrameStream.Seal(frame, FrameKind.Raft);
                await stream.WriteAsync(frame, ended.Token);
            }
        }
        catch (OperationCanceledException) when (!_stop.IsCancellationRequested)
        {
            throw new IOException("the peer closed the connection");
        }
        finally
        {
            await ended.CancelAsync();
            await watch;
        }
    }

    /// <summary>The peer never speaks on this lane: whatever ends the read, the connection is over.</summary>
    private static async Task WatchEndAsync(FrameStream stream, CancellationTokenSource ended)
    {
        try
        {
            await stream.Raw.ReadExactlyAsync(new byte[1], ended.Token);
        }
        catch (Exception error) when (error is IOException or OperationCanceledException or ObjectDisposedException)
        {
        }

        await ended.CancelAsync();
    }
}
