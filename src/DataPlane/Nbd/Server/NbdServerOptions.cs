namespace RaftMirror.DataPlane.Nbd.Server;

/// <summary>Limits of an <see cref="NbdServer"/>. The defaults are the ones of docs/formats.md.</summary>
public sealed record NbdServerOptions
{
    /// <summary>From connecting to GO, in all: no byte restarts it.</summary>
    public TimeSpan HandshakeLimit { get; init; } = TimeSpan.FromSeconds(10);

    /// <summary>A client that takes no byte of its replies for so long is disconnected.</summary>
    public TimeSpan SendStallLimit { get; init; } = TimeSpan.FromSeconds(60);

    /// <summary>After a connection was dropped and its last request ended, replies that wait for the client to read
    /// them wait so long.</summary>
    public TimeSpan DropLinger { get; init; } = TimeSpan.FromSeconds(1);

    /// <summary>Payload of one connection's requests in memory; at least one request of 32 MiB must fit.</summary>
    public long CreditBytes { get; init; } = 64 << 20;

    /// <summary>Requests of one connection that are not yet answered; beyond, no more are read.</summary>
    public int CreditRequests { get; init; } = 1024;

    /// <summary>Connections at a time, handshakes included; further ones are closed at once.</summary>
    public int MaxConnections { get; init; } = 1024;

    /// <summary>Called when an invariant broke inside a session: the node must stop. Null ends the process.</summary>
    public Action<Exception>? OnInvariantBroken { get; init; }

    /// <summary>For timers and the time of connections.</summary>
    public TimeProvider Time { get; init; } = TimeProvider.System;
}
