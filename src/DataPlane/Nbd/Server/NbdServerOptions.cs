using System.Net.Sockets;
using RaftMirror.Primitives;

namespace RaftMirror.DataPlane.Nbd.Server;

/// <summary>Limits of an <see cref="NbdServer"/>. The defaults are the ones of docs/formats.md.</summary>
public sealed record NbdServerOptions
{
    /// <summary>From connecting to GO, in all: no byte restarts it.</summary>
    public TimeSpan HandshakeLimit { get; init; } = TimeSpan.FromSeconds(10);

    /// <summary>A client that takes no byte of its replies for so long is disconnected.</summary>
    public TimeSpan SendStallLimit { get; init; } = TimeSpan.FromSeconds(60);

    /// <summary>The same while requests are not read, of this client or of others, since its replies hold the memory for them. Writes of others
    /// wait for what is unread meanwhile; well below the 30 s after which these are given up.</summary>
    public TimeSpan SendStallInTheWay { get; init; } = TimeSpan.FromSeconds(5);

    /// <summary>After a connection was dropped and its last request ended, replies that wait for the client to read
    /// them wait so long.</summary>
    public TimeSpan DropLinger { get; init; } = TimeSpan.FromSeconds(1);

    /// <summary>Payload of one connection's requests in memory; at least one request of 32 MiB must fit.</summary>
    public long CreditBytes { get; init; } = 64 << 20;

    /// <summary>Requests of one connection that are not yet answered; beyond, no more are read.</summary>
    public int CreditRequests { get; init; } = 1024;

    /// <summary>Connections at a time, handshakes included; further ones are closed at once.</summary>
    public int MaxConnections { get; init; } = 1024;

    /// <summary>Payload of all connections' requests in memory, beyond <see cref="OwnCreditBytes"/> of each: who finds it used up is read from when
    /// others have been answered.</summary>
    public long SharedCreditBytes { get; init; } = 1L << 30;

    /// <summary>What each connection may hold whatever the others do, so that clients that do not read their replies stop nobody.</summary>
    public long OwnCreditBytes { get; init; } = 256 << 10;

    /// <summary>Connections whose descriptor's number is not below this are closed at once.</summary>
    public int DescriptorsBelow { get; init; } = int.MaxValue;

    /// <summary>How a connection is accepted; another one for tests.</summary>
    internal Func<SafeSocketHandle, int> Accept { get; init; } = AcceptLoop.SystemAccept;

    /// <summary>Called when an invariant broke inside a session: the node must stop. Null ends the process.</summary>
    public Action<Exception>? OnInvariantBroken { get; init; }

    /// <summary>For timers and the time of connections.</summary>
    public TimeProvider Time { get; init; } = TimeProvider.System;
}
