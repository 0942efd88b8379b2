using System.Diagnostics.CodeAnalysis;
using System.Runtime.CompilerServices;
using RaftMirror.DataPlane.Devices;
using RaftMirror.DataPlane.Exports;
using RaftMirror.DataPlane.Nbd.Protocol;
using RaftMirror.Primitives;

namespace RaftMirror.DataPlane.Nbd.Server;

/// <content>The transmission phase. The reader takes every whole request that a receive brought, holding the writer's
/// role meanwhile, so that requests that end at once are answered by one send; it gives the role up before it waits.</content>
internal sealed partial class NbdConnection
{
    private const int BufferBytes = 256 << 10;
    private const int MaxHeldRequests = 32;

    // The reader's.
    private AlignedBuffer? _buffer;
    private int _start;
    private int _end;
    private NbdRequestRules? _rules;
    private bool _isHolding;
    private NbdRequest? _free;

    // Given back by the writer, taken whole by the reader.
    private NbdRequest? _returned;

    private long _requestCount;
    private long _errorCount;
    private long _readBytes;
    private long _writtenBytes;

    private ReadOnlySpan<byte> Received => _buffer!.GetSpan()[_start.._end];

    /// <summary>Where the first byte that was not parsed stands in the stream.</summary>
    private long Position => _intake.Received - (_end - _start);

    /// <summary>A session ended a request. Any thread.</summary>
    public void Complete(NbdRequest request)
    {
        IoStatus status;
        try
        {
            status = request.Awaiter.GetResult();
        }
        catch (Exception exception)
        {
            status = Unknown(exception);
        }

        request.Awaiter = default;
        End(request, status);
    }

    private void End(NbdRequest request, IoStatus status)
    {
        if (status == IoStatus.Drop)
        {
            request.IsSilent = true;
            BeginDrop("a request may not be answered here");
        }
        else
        {
            request.Refusal = NbdErrors.FromStatus(status);
        }

        _credit.EndExecution();
        _writer.Enqueue(request);
    }

    /// <summary>Writes a reply, without the data of a READ. Writer only.</summary>
    /// <returns>Bytes written.</returns>
    public int WriteReply(NbdRequest request, Span<byte> target)
    {
        var structured = _rules!.StructuredReplies;
        if (request.Refusal != NbdRefusal.None) return ReplyEncoder.WriteError(target, request.Header, request.Refusal, structured);
        return request.Header.Command switch
        {
            NbdCommand.Read => ReplyEncoder.WriteReadHeader(target, request.Header, structured),
            NbdCommand.BlockStatus => ReplyEncoder.WriteAllocated(target, request.Header),
            _ => ReplyEncoder.WriteSuccess(target, request.Header),
        };
    }

    /// <summary>Replies were sent, or cannot be. Writer only; afterwards the requests are the reader's.</summary>
    public void Retire(ReadOnlySpan<NbdRequest> requests, bool wereSent)
    {
        long credit = 0, shared = 0, errors = 0, read = 0, written = 0;
        foreach (var request in requests)
        {
            if (request.IsCreditShared) shared += request.CreditBytes;
            else credit += request.CreditBytes;
            if (request.Refusal != NbdRefusal.None) errors++;
            else if (request.SendsData && !request.IsSilent) read += request.Header.Length;
            else if (request.Header.Command == NbdCommand.Write && !request.IsSilent) written += request.Header.Length;
            request.Buffer?.Dispose();
            request.Buffer = null;
            var head = Volatile.Read(ref _returned);
            while (true)
            {
                request.Next = head;
                var seen = Interlocked.CompareExchange(ref _returned, request, head);
                if (ReferenceEquals(seen, head)) break;
                head = seen;
            }
        }

        if (errors > 0) Interlocked.Add(ref _errorCount, errors);
        if (read > 0 && wereSent) Interlocked.Add(ref _readBytes, read);
        if (written > 0) Interlocked.Add(ref _writtenBytes, written);
        _credit.Return(credit, shared, requests.Length);
    }

    private void Serve(IExportSession session)
    {
        var held = 0;
        while (!_isDropping)
        {
            if (_end - _start < NbdWire.RequestBytes)
            {
                ReleaseWriter();
                held = 0;
                if (!ReceiveMore())
                {
                    EndWith("it closed the connection");
                    if (!_isDropping) session.HungUp();
                    return;
                }

                continue;
            }

            if (!_isHolding) _isHolding = _writer.TryHold();
            if (!TakeRequest(session)) return;
            _intake.Expect(Position + NbdWire.RequestBytes);
            if (++held < MaxHeldRequests) continue;
            ReleaseWriter();
            held = 0;
        }
    }

    /// <returns>False if no request is to be read after this one.</returns>
    private bool TakeRequest(IExportSession session)
    {
        if (!RequestHeader.TryParse(Received, out var header))
        {
            EndWith("it sent something that is no request");
            return false;
        }

        _start += NbdWire.RequestBytes;
        var verdict = _rules!.Check(header);
        switch (verdict.Action)
        {
            case RequestAction.Disconnect:
                EndWith("it disconnected");
                return false;
            case RequestAction.Drop:
                EndWith("it sent too much");
                return false;
        }

        Interlocked.Increment(ref _requestCount);
        var executes = verdict.Action == RequestAction.Execute;
        var payloadBytes = (int)NbdRequestRules.PayloadBytes(header);
        var endPosition = Position + payloadBytes;
        _intake.Expect(endPosition);
        var holdsData = executes && (header.Command is NbdCommand.Read or NbdCommand.Write);
        if (!TryRent(header, holdsData ? header.Length : 0, out var request)) return false;
        request.Refusal = verdict.Refusal;
        if (holdsData) request.Buffer = _pool.Rent((int)header.Length);
        if (payloadBytes > 0 && !(executes ? ReceivePayload(request.Buffer!, payloadBytes) : SkipPayload(payloadBytes)))
        {
            // A WRITE whose payload is cut off touches nothing and has no reply.
            request.IsSilent = true;
            _writer.Enqueue(request);
            EndWith("it left in the middle of a write");
            return false;
        }

        if (executes && header.Command != NbdCommand.BlockStatus)
        {
            _intake.Begin(endPosition);
            Execute(session, request);
        }
        else
        {
            _writer.Enqueue(request);
        }

        return true;
    }

    private void Execute(IExportSession session, NbdRequest request)
    {
        _credit.BeginExecution();
        try
        {
            request.Awaiter = Call(session, request);
        }
        catch (Exception exception)
        {
            End(request, Unknown(exception));
            return;
        }

        if (request.Awaiter.IsCompleted) Complete(request);
        else request.Awaiter.UnsafeOnCompleted(request.OnCompleted);
    }

    private static ConfiguredValueTaskAwaitable<IoStatus>.ConfiguredValueTaskAwaiter Call(IExportSession session, NbdRequest request)
    {
        var header = request.Header;
        var offset = (long)header.Offset;
        var forced = (header.Flags & CommandFlags.ForceUnitAccess) != 0;
        return header.Command switch
        {
            NbdCommand.Read => Awaiter(session.ReadAsync(offset, request.Buffer!.Memory[..(int)header.Length], request)),
            NbdCommand.Write => Awaiter(session.WriteAsync(offset, request.Buffer!.Memory[..(int)header.Length], forced)),
            NbdCommand.Flush => Awaiter(session.FlushAsync()),
            NbdCommand.Trim => Awaiter(session.TrimAsync(offset, header.Length, forced)),
            NbdCommand.WriteZeroes => Awaiter(session.WriteZeroesAsync(
                offset, header.Length, (header.Flags & CommandFlags.NoHole) == 0, forced)),
            _ => throw new InvariantException("The rules let only these through."),
        };
    }

    private static ConfiguredValueTaskAwaitable<IoStatus>.ConfiguredValueTaskAwaiter Awaiter(ValueTask<IoStatus> task) =>
        task.ConfigureAwait(false).GetAwaiter();

    /// <summary>An exception says nothing about the data: as after a lost lease, nobody may claim how it ended.</summary>
    private IoStatus Unknown(Exception exception)
    {
        if (exception is InvariantException)
        {
            NbdLog.InvariantBroken(_logger, _client, exception);
            if (_options.OnInvariantBroken is { } stop) stop(exception);
            else Environment.FailFast(exception.Message, exception);
        }
        else
        {
            NbdLog.RequestThrew(_logger, _client, _exportName, exception);
        }

        return IoStatus.Drop;
    }

    /// <returns>False if the connection was dropped while it had no credit.</returns>
    private bool TryRent(in RequestHeader header, long creditBytes, [NotNullWhen(true)] out NbdRequest? request)
    {
        request = null;
        if (!_credit.TryTake(creditBytes, out var isShared))
        {
            ReleaseWriter();
            if (!_credit.Take(creditBytes, () => _isDropping, out isShared)) return false;
        }

        _free ??= Interlocked.Exchange(ref _returned, null);
        request = _free;
        if (request is null) request = new NbdRequest(this);
        else _free = request.Next;
        request.Next = null;
        request.Header = header;
        request.IsSilent = false;
        (request.CreditBytes, request.IsCreditShared) = (creditBytes, isShared);
        return true;
    }

    private unsafe bool ReceivePayload(AlignedBuffer target, int lengthBytes)
    {
        var atHand = Math.Min(lengthBytes, _end - _start);
        Received[..atHand].CopyTo(target.GetSpan());
        _start += atHand;
        if (atHand == lengthBytes) return true;

        ReleaseWriter();
        using var pin = target.Pin();
        while (atHand < lengthBytes)
        {
            var received = Receive((byte*)pin.Pointer + atHand, lengthBytes - atHand);
            if (received <= 0) return false;
            atHand += received;
        }

        return true;
    }

    private bool SkipPayload(int lengthBytes)
    {
        while (true)
        {
            var atHand = Math.Min(lengthBytes, _end - _start);
            _start += atHand;
            lengthBytes -= atHand;
            if (lengthBytes == 0) return true;
            ReleaseWriter();
            if (!ReceiveMore()) return false;
        }
    }

    /// <summary>Receives behind what is there.</summary>
    /// <returns>False at the end of the stream, also one that was cut off.</returns>
    private unsafe bool ReceiveMore()
    {
        if (_start > 0)
        {
            Received.CopyTo(_buffer!.GetSpan());
            _end -= _start;
            _start = 0;
        }

        using var pin = _buffer!.Pin(_end);
        var received = Receive((byte*)pin.Pointer, BufferBytes - _end);
        if (received <= 0) return false;
        _end += received;
        return true;
    }

    /// <returns>Bytes received; not positive at the end, and once the connection is being dropped.</returns>
    private unsafe int Receive(byte* target, int maxBytes)
    {
        while (true)
        {
            // Waiting takes nothing from the socket, so whoever looks at it meanwhile sees what has come.
            if (_wake is not null) Readiness.WaitReadable(_socket.SafeHandle, _wake);
            else Readiness.WaitReadable(_socket.SafeHandle);
            if (_isDropping) return 0;
            var received = _intake.Receive(target, maxBytes);
            if (received != SocketCalls.WouldBlock) return _isDropping ? 0 : received;
        }
    }

    private void ReleaseWriter()
    {
        if (!_isHolding) return;
        _isHolding = false;
        _writer.Release();
    }
}
