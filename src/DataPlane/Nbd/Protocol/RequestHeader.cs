using System.Buffers.Binary;

namespace RaftMirror.DataPlane.Nbd.Protocol;

/// <summary>A compact request: magic u32, flags u16, command u16, cookie u64, offset u64, length u32.</summary>
internal readonly record struct RequestHeader(
    CommandFlags Flags,
    NbdCommand Command,
    ulong Cookie,
    ulong Offset,
    uint Length)
{
    /// <summary>Takes a request apart.</summary>
    /// <param name="bytes">At least <see cref="NbdWire.RequestBytes"/>.</param>
    /// <param name="header">The request, if the result is true.</param>
    /// <returns>False if the magic is wrong: client and server are out of step, and the connection must end.</returns>
    public static bool TryParse(ReadOnlySpan<byte> bytes, out RequestHeader header)
    {
        header = new RequestHeader(
            (CommandFlags)BinaryPrimitives.ReadUInt16BigEndian(bytes[4..]),
            (NbdCommand)BinaryPrimitives.ReadUInt16BigEndian(bytes[6..]),
            BinaryPrimitives.ReadUInt64BigEndian(bytes[8..]),
            BinaryPrimitives.ReadUInt64BigEndian(bytes[16..]),
            BinaryPrimitives.ReadUInt32BigEndian(bytes[24..]));
        return BinaryPrimitives.ReadUInt32BigEndian(bytes) == NbdWire.RequestMagic;
    }
}
