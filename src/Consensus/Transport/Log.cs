using Microsoft.Extensions.Logging;

namespace RaftMirror.Consensus.Transport;

/// <summary>Log messages of the transport: ids 1100 to 1199.</summary>
internal static partial class Log
{
    [LoggerMessage(1100, LogLevel.Warning, "Refused a connection from {Remote} as node {From}: {Status}")]
    public static partial void Refused(ILogger logger, string remote, NodeId from, HandshakeStatus status);

    [LoggerMessage(1101, LogLevel.Error, "Node {Peer} refused our {Lane} connection: {Status}")]
    public static partial void RefusedByPeer(ILogger logger, NodeId peer, Lane lane, HandshakeStatus status);

    [LoggerMessage(1102, LogLevel.Information, "{Lane} connection to node {Peer} is up (incarnation {Incarnation})")]
    public static partial void Connected(ILogger logger, Lane lane, NodeId peer, ulong incarnation);

    [LoggerMessage(1103, LogLevel.Information, "{Lane} connection to node {Peer} is down: {Reason}")]
    public static partial void Disconnected(ILogger logger, Lane lane, NodeId peer, string reason);

    [LoggerMessage(1104, LogLevel.Error, "Node {Peer} broke the protocol, its connection is closed: {Reason}")]
    public static partial void ProtocolError(ILogger logger, NodeId peer, string reason);

    [LoggerMessage(1105, LogLevel.Error, "Handler of {Method} failed for node {Peer}")]
    public static partial void HandlerFailed(ILogger logger, string method, NodeId peer, Exception error);

    [LoggerMessage(1106, LogLevel.Debug, "Connection from {Remote} ended: {Reason}")]
    public static partial void InboundEnded(ILogger logger, string remote, string reason);
}
