using System.Net.Sockets;
using System.Runtime.CompilerServices;
using System.Text.Json;
using RaftMirror.Consensus.Model;
using RaftMirror.Consensus.Node;

namespace RaftMirror.Benchmarks.Cluster;

/// <summary>One client of a node: a thread of its own reads requests and proposes them at once; whoever completes one appends the
/// answer, and the first to find nobody sending sends for all. Allocates nothing per request, so that the process's
/// allocations are the engine's.</summary>
internal sealed class ClientConnection
{
    private readonly Socket _socket;
    private readonly RaftNode _node;
    private readonly Func<ProcessStatus> _status;
    private readonly Lock _gate = new();
    private readonly Stack<PendingAnswer> _free = new();
    private byte[] _outbox = new byte[64 * 1024];
    private byte[] _spare = new byte[64 * 1024];
    private int _outboxBytes;
    private bool _isSending;

    public ClientConnection(Socket socket, RaftNode node, Func<ProcessStatus> status)
    {
        _socket = socket;
        _node = node;
        _status = status;
    }

    /// <summary>Serves until the client goes away.</summary>
    public void Run()
    {
        _socket.NoDelay = true;
        var buffer = new byte[ClientProtocol.MaxFrameBytes + 4];
        var filled = 0;
        try
        {
            while (true)
            {
                var count = _socket.Receive(buffer.AsSpan(filled));
                if (count == 0) return;
                filled += count;
                var taken = 0;
                while (ClientProtocol.FrameLength(buffer.AsSpan(taken, filled - taken)) is var length and > 0)
                {
                    Take(buffer.AsMemory(taken, length));
                    taken += length;
                }

                buffer.AsSpan(taken, filled - taken).CopyTo(buffer);
                filled -= taken;
            }
        }
        catch (SocketException)
        {
            // The client was killed: that is how a run may end.
        }
        finally
        {
            _socket.Dispose();
        }
    }

    private void Take(ReadOnlyMemory<byte> frame)
    {
        var id = ClientProtocol.Id(frame.Span);
        if (frame.Span[4] == ClientProtocol.Status)
        {
            Answer(id, ClientProtocol.Done, JsonSerializer.SerializeToUtf8Bytes(_status()));
            return;
        }

        PendingAnswer? pending;
        lock (_gate)
        {
            if (!_free.TryPop(out pending)) pending = new PendingAnswer(this);
        }

        pending.Await(id, _node.ProposeAsync(frame[ClientProtocol.HeaderBytes..], null, CancellationToken.None));
    }

    private void Answer(ulong id, byte status, ReadOnlySpan<byte> body)
    {
        lock (_gate)
        {
            var length = ClientProtocol.HeaderBytes + body.Length;
            if (_outbox.Length - _outboxBytes < length) Array.Resize(ref _outbox, Math.Max(_outbox.Length * 2, _outboxBytes + length));
            ClientProtocol.WriteHeader(_outbox.AsSpan(_outboxBytes), status, id, body.Length);
            body.CopyTo(_outbox.AsSpan(_outboxBytes + ClientProtocol.HeaderBytes));
            _outboxBytes += length;
            if (_isSending) return;
            _isSending = true;
        }

        SendOutbox();
    }

    private void SendOutbox()
    {
        while (true)
        {
            int bytes;
            lock (_gate)
            {
                bytes = _outboxBytes;
                if (bytes == 0)
                {
                    _isSending = false;
                    return;
                }

                (_outbox, _spare) = (_spare, _outbox);
                _outboxBytes = 0;
            }

            try
            {
                for (var sent = 0; sent < bytes;) sent += _socket.Send(_spare.AsSpan(sent, bytes - sent));
            }
            catch (Exception error) when (error is SocketException or ObjectDisposedException)
            {
                return; // Nobody is left to answer: _isSending stays, so nobody tries again.
            }
        }
    }

    /// <summary>A proposal on its way, reused after its answer.</summary>
    private sealed class PendingAnswer
    {
        private readonly ClientConnection _owner;
        private readonly Action _complete;
        private ValueTaskAwaiter<CommitResult> _awaiter;
        private ulong _id;

        public PendingAnswer(ClientConnection owner)
        {
            _owner = owner;
            _complete = Complete;
        }

        public void Await(ulong id, ValueTask<CommitResult> proposal)
        {
            _id = id;
            _awaiter = proposal.GetAwaiter();
            if (_awaiter.IsCompleted) Complete();
            else _awaiter.UnsafeOnCompleted(_complete);
        }

        private void Complete()
        {
            var isCommitted = _awaiter.GetResult().Outcome == ProposalOutcome.Committed;
            _awaiter = default;
            _owner.Answer(_id, isCommitted ? ClientProtocol.Done : ClientProtocol.Failed, default);
            lock (_owner._gate) _owner._free.Push(this);
        }
    }
}
