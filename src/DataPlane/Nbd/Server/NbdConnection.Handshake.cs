using System.Net.Sockets;
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
    private IExportSession? Handshake()
    {
        var machine = new HandshakeMachine(_catalog);
        if (!SendHandshake(machine)) return null;
        while (!_isDropping)
        {
            var step = machine.Step(Received, out var consumed);
            _start += consumed;
            switch (step)
            {
                case HandshakeStep.NeedMore:
                    if (!ReceiveMore()) return EndWith("it left during the handshake");
                    continue;
                case HandshakeStep.Continue:
                    if (!SendHandshake(machine)) return EndWith("it left during the handshake");
                    continue;
                case HandshakeStep.Transmission:
                    return OpenSession(machine);
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

    private IExportSession? OpenSession(HandshakeMachine machine)
    {
        // The name is shown before the catalog is asked once more, so that whoever takes an export out of the catalog
        // and then drops its connections finds this one, or this one finds the export gone.
        _exportName = machine.Info!.Name;
        Interlocked.MemoryBarrier();
        if (_catalog.Find(_exportName) is null) return EndWith("the export has just gone");

        _rules = new RequestRules(machine.Info, machine.StructuredReplies, machine.AllocationContext);
        var session = machine.Export!.Open(_client);
        if (SendHandshake(machine)) return session;
        session.Dispose();
        return EndWith("it left during the handshake");
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
