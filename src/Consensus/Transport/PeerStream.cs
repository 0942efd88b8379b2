using System.Net.Sockets;
using RaftMirror.Primitives;

namespace RaftMirror.Consensus.Transport;

/// <summary>A connection's bytes. Blocking reads wait on the caller's own thread, see <see cref="Readiness"/>.</summary>
internal sealed class PeerStream(Socket socket) : NetworkStream(socket, ownsSocket: true)
{
    public override int Read(Span<byte> buffer)
    {
        Readiness.WaitReadable(Socket.SafeHandle);
        var count = Socket.Receive(buffer, SocketFlags.None, out var error);
        return error == SocketError.Success ? count : throw new IOException($"the connection broke: {error}");
    }

    public override int Read(byte[] buffer, int offset, int count) => Read(buffer.AsSpan(offset, count));
}
