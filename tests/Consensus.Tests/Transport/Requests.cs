using System.Buffers.Binary;
using System.Text;
using RaftMirror.Consensus.Messages;
using RaftMirror.Consensus.Transport;

namespace RaftMirror.Consensus.Tests.Transport;

/// <summary>Frames as a peer would make them.</summary>
internal static class Requests
{
    public static byte[] Encode(string method, ulong correlation, byte[] body)
    {
        var name = Encoding.UTF8.GetBytes(method);
        var bytes = new byte[10 + name.Length + body.Length];
        BinaryPrimitives.WriteUInt64LittleEndian(bytes, correlation);
        BinaryPrimitives.WriteUInt16LittleEndian(bytes.AsSpan(8), (ushort)name.Length);
        name.CopyTo(bytes, 10);
        body.CopyTo(bytes, 10 + name.Length);
        return FrameBuffer.Single(FrameKind.Request, bytes);
    }

    public static byte[] Encode(Message message)
    {
        var bytes = new byte[MessageCodec.Length(message)];
        MessageCodec.Encode(message, bytes);
        return FrameBuffer.Single(FrameKind.Raft, bytes);
    }
}
