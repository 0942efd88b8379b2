namespace RaftMirror.Consensus.Transport;

/// <summary>Every bound of the transport. The defaults are for production; tests make them small.</summary>
internal sealed record TransportLimits
{
    public static readonly TransportLimits Default = new();

    /// <summary>From the first byte to the last of a handshake, TLS included.</summary>
    public TimeSpan HandshakeTimeout { get; init; } = TimeSpan.FromSeconds(3);

    /// <summary>A connection ends when a frame that has begun, or a write, makes no progress of 64 KiB for this long.</summary>
    public TimeSpan StallTimeout { get; init; } = TimeSpan.FromSeconds(10);

    /// <summary>Connections that have not proven who they are. One more ends the oldest: a peer's handshake takes milliseconds,
    /// so whoever holds connections open loses them first.</summary>
    public int MaxHandshaking { get; init; } = 256;

    /// <summary>Connections whose descriptor's number is not below this are closed at once: the rest is for the log and the disks.</summary>
    public int DescriptorsBelow { get; init; } = int.MaxValue;

    /// <summary>Peers that no configuration names yet. One more ends the one that connected first.</summary>
    public int MaxUnknownPeers { get; init; } = 16;

    /// <summary>Raft messages of one member that wait for the loop; then its connection is not read.</summary>
    public int MaxPeerMessages { get; init; } = 512;

    /// <summary>The same in bytes; one message is always allowed.</summary>
    public long MaxPeerBytes { get; init; } = 16 * 1024 * 1024;

    /// <summary>As <see cref="MaxPeerMessages"/>, of a peer that is no member.</summary>
    public int MaxUnknownPeerMessages { get; init; } = 32;

    /// <summary>Requests of one connection that run; then it is not read.</summary>
    public int MaxRequests { get; init; } = 256;

    /// <summary>Bytes of requests of one connection that run; one request is always allowed.</summary>
    public long MaxRequestBytes { get; init; } = 32 * 1024 * 1024;

    /// <summary>Requests to one peer that have no answer yet; more are refused unsent.</summary>
    public int MaxOutstandingCalls { get; init; } = 4096;

    /// <summary>Raft messages that wait to be sent to one peer; more are dropped.</summary>
    public int MaxQueuedMessages { get; init; } = 4096;

    /// <summary>Bytes that wait to be sent on one connection: more Raft messages are dropped, more requests refused unsent;
    /// answers wait.</summary>
    public long MaxQueuedBytes { get; init; } = 32 * 1024 * 1024;

    /// <summary>What this node sends per second on all its snapshot lanes together.</summary>
    public long SnapshotBytesPerSecond { get; init; } = 256L * 1024 * 1024;

    /// <summary>First and longest wait between two attempts to reach a peer.</summary>
    public TimeSpan MinBackoff { get; init; } = TimeSpan.FromMilliseconds(50);

    public TimeSpan MaxBackoff { get; init; } = TimeSpan.FromMilliseconds(500);
}
