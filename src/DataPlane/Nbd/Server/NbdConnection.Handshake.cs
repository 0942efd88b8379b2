using System.Net.Sockets;
using RaftMirror.DataPlane.Exports;
using RaftMirror.DataPlane.Nbd.Protocol;
using RaftMirror.Primitives;

namespace RaftMirror.DataPlane.Nbd.Server;

/// <content>The handshake: bytes to and from <see cref="HandshakeMachine"/>, under one deadline.</content>
internal sealed partial class NbdConnection
{
    private const int PhaseHandshake = 0;
    private const int PhaseServing = 1;
    private const int PhaseTimedOut = 2;

    private int _phase;

    /// <returns>The session, or null if the connection is to be closed.</returns>
    private IExportSession? Handshake(HandshakeDeadline deadline)
    {
        using var wait = new ServiceWait(_catalog, _options.Time, _client, _intake, IsClientGone, _dropping.Token);
        var machine = new HandshakeMachine(_catalog);
        if (!SendHandshake(machine)) return null;
        while (!_isDropping)
        {
            var step = machine.Step(Received, wait.NowMs, out var consumed);
            _start += consumed;
            if (step == HandshakeStep.Wait) step = Await(machine, wait, deadline);
            switch (step)
            {
                case HandshakeStep.NeedMore:
                    if (!ReceiveMore()) return EndWith("it left during the handshake");
                    continue;
                case HandshakeStep.Continue:
                    if (!SendHandshake(machine)) return EndWith("it left during the handshake");
                    continue;
                case HandshakeStep.Transmission:
                    return Attach(machine, wait);
                case HandshakeStep.CloseGracefully:
                    SendHandshake(machine);
                    DrainUntilClosed();
                    return EndWith("it aborted the handshake");
                default:
                    return EndWith("it broke the rules of the handshake");
            }
        }

        return null;
    }

    private HandshakeStep Await(HandshakeMachine machine, ServiceWait wait, HandshakeDeadline deadline)
    {
        var (option, name) = (machine.Waiting!.Option, machine.Waiting.Name);

        // The name is shown before the catalog is asked, so that whoever takes an export out of the catalog and then drops its
        // connections finds this one, or this one finds the export gone.
        if (machine.Waiting.NeedsSession) _exportName = name;
        Interlocked.MemoryBarrier();
        deadline.Pause();
        var step = wait.Await(machine);
        deadline.Resume();
        if (step != HandshakeStep.Transmission) _exportName = null;
        if (machine.Refusal is { } reason) NbdLog.ExportRefused(_logger, _client, option, name, reason);
        if (step == HandshakeStep.Close) EndWith(IsClientGone() ? "it left during the handshake" : "the export that it named is not to be had");
        return step;
    }

    private IExportSession? Attach(HandshakeMachine machine, ServiceWait wait)
    {
        _rules = new NbdRequestRules(machine.Info!, machine.StructuredReplies, machine.AllocationContext);
        _intake.Expect(Position + NbdWire.RequestBytes); // Before the client may send.
        return SendHandshake(machine) ? wait.TakeSession() : EndWith("it left during the handshake");
    }

    /// <summary>True if the client has closed its side and nothing that it sent before is unread.</summary>
    private bool IsClientGone()
    {
        lock (_socketGate)
        {
            if (_isClosed || !_socket.Poll(0, SelectMode.SelectRead)) return _isClosed;
            try
            {
                return _socket.Receive(new byte[1], SocketFlags.Peek) == 0 && !_isDropping;
            }
            catch (SocketException)
            {
                return true;
            }
        }
    }

    private IExportSession? EndWith(string reason)
    {
        lock (_socketGate)
        {
            if (_endReason.Length == 0) _endReason = reason;
        }

        return null;
    }

    private unsafe bool SendHandshake(HandshakeMachine machine)
    {
        var output = machine.Output;
        fixed (byte* bytes = output)
        {
            var sent = 0;
            while (sent < output.Length)
            {
                var part = new IoVector { Base = bytes + sent, Length = output.Length - sent };
                var result = SocketCalls.Send(_socket.SafeHandle, new ReadOnlySpan<IoVector>(in part));
                if (result == SocketCalls.Broken) return false;
                if (result == SocketCalls.WouldBlock) Readiness.WaitWritable(_socket.SafeHandle, -1);
                else sent += (int)result;
            }
        }

        machine.ClearOutput();
        return true;
    }

    /// <summary>Reads what still comes: closing over unread data would send a reset, which can destroy an answer that
    /// the client has not read. The handshake's deadline bounds it.</summary>
    private void DrainUntilClosed()
    {
        lock (_socketGate) Shutdown(SocketShutdown.Send);
        do _start = _end = 0;
        while (ReceiveMore());
    }

    private void EndHandshake()
    {
        if (Interlocked.CompareExchange(ref _phase, PhaseTimedOut, PhaseHandshake) != PhaseHandshake) return;
        EndWith("the handshake took too long");
        lock (_socketGate) Shutdown(SocketShutdown.Both);
    }
}
