namespace RaftMirror.DataPlane.Nbd.Protocol;

/// <summary>Numbers of the NBD protocol (NetworkBlockDevice/nbd, doc/proto.md). Everything on the wire is big-endian.</summary>
internal static class NbdWire
{
    public const ulong InitMagic = 0x4e42444d41474943; // "NBDMAGIC"
    public const ulong OptionMagic = 0x49484156454F5054; // "IHAVEOPT"
    public const ulong OptionReplyMagic = 0x0003e889045565a9;
    public const uint RequestMagic = 0x25609513;
    public const uint SimpleReplyMagic = 0x67446698;
    public const uint StructuredReplyMagic = 0x668e33ef;

    /// <summary>Bytes of a compact request.</summary>
    public const int RequestBytes = 28;

    /// <summary>Bytes before an option's data: magic, option, length.</summary>
    public const int OptionHeaderBytes = 16;

    /// <summary>Longest READ and WRITE that is served; advertised as the maximum block size.</summary>
    public const uint MaxPayloadBytes = 32 << 20;

    /// <summary>A refused WRITE's payload is skipped up to here; a longer one ends the connection.</summary>
    public const uint MaxSkippedPayloadBytes = 64 << 20;

    /// <summary>The protocol's limit for names and messages, in bytes of UTF-8.</summary>
    public const int MaxStringBytes = 4096;

    /// <summary>The only context offered for BLOCK_STATUS.</summary>
    public static ReadOnlySpan<byte> AllocationContextName => "base:allocation"u8;

    /// <summary>The id under which <see cref="AllocationContextName"/> is selected.</summary>
    public const uint AllocationContextId = 1;
}

/// <summary>Handshake flags of the server (16 bits) and the client (32 bits); the two bits mean the same in both.</summary>
[Flags]
internal enum HandshakeFlags : uint
{
    None = 0,
    FixedNewstyle = 1,
    NoZeroes = 2,
}

/// <summary>Transmission flags: what an export can do.</summary>
[Flags]
internal enum TransmissionFlags : ushort
{
    None = 0,
    HasFlags = 1 << 0,
    ReadOnly = 1 << 1,
    SendFlush = 1 << 2,
    SendFua = 1 << 3,
    SendTrim = 1 << 5,
    SendWriteZeroes = 1 << 6,
    SendDf = 1 << 7,
    CanMultiConn = 1 << 8,
}

/// <summary>Options of the handshake that are known here; all others are answered ERR_UNSUP.</summary>
internal enum NbdOption : uint
{
    ExportName = 1,
    Abort = 2,
    List = 3,
    StartTls = 5,
    Info = 6,
    Go = 7,
    StructuredReply = 8,
    ListMetaContext = 9,
    SetMetaContext = 10,
}

/// <summary>Answers to options.</summary>
internal enum OptionReply : uint
{
    Ack = 1,
    Server = 2,
    Info = 3,
    MetaContext = 4,
    ErrorUnsupported = 0x80000001,
    ErrorInvalid = 0x80000003,
    ErrorUnknown = 0x80000006,
    ErrorShutdown = 0x80000007,
    ErrorTooBig = 0x80000009,
}

/// <summary>Kinds of information in a reply to INFO and GO.</summary>
internal enum InfoType : ushort
{
    Export = 0,
    Name = 1,
    Description = 2,
    BlockSize = 3,
}

/// <summary>Commands of the transmission phase.</summary>
internal enum NbdCommand : ushort
{
    Read = 0,
    Write = 1,
    Disconnect = 2,
    Flush = 3,
    Trim = 4,
    WriteZeroes = 6,
    BlockStatus = 7,
}

/// <summary>Flags of a command.</summary>
[Flags]
internal enum CommandFlags : ushort
{
    None = 0,
    ForceUnitAccess = 1 << 0,
    NoHole = 1 << 1,
    DoNotFragment = 1 << 2,
    RequestOne = 1 << 3,
}

/// <summary>Types of structured reply chunks.</summary>
internal enum ChunkType : ushort
{
    None = 0,
    OffsetData = 1,
    BlockStatus = 5,
    Error = 0x8001,
}
