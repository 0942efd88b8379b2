using Microsoft.Extensions.Logging;
using RaftMirror.Consensus.Model;

namespace RaftMirror.Consensus.Transport;

/// <summary>Log messages of the transport: ids 1100 to 1199.</summary>
internal static partial class TransportLogMessages
{
    [LoggerMessage(1100, LogLevel.Warning, "Refused a connection from {Remote} as node {From}: {Status} {Detail}")]
    public static partial void Refused(ILogger logger, string remote, NodeId from, HandshakeStatus status, string detail);

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

    [LoggerMessage(1107, LogLevel.Warning, "Refused a connection from {Remote}: {Reason}")]
    public static partial void NotAuthenticated(ILogger logger, string remote, string reason);

    [LoggerMessage(1108, LogLevel.Information, "The peer certificates were read anew; this node's is valid until {NotAfter:O}")]
    public static partial void CertificatesReloaded(ILogger logger, DateTime notAfter);

    [LoggerMessage(1109, LogLevel.Error, "The changed peer certificates are not used, those read before are: {Reason}")]
    public static partial void CertificatesNotReloaded(ILogger logger, string reason);

    [LoggerMessage(1110, LogLevel.Information, "The connection to node {Peer} ended before all that was meant for it had left")]
    public static partial void NotDrained(ILogger logger, NodeId peer);

    [LoggerMessage(1111, LogLevel.Error, "Node {Peer} says that this node has been removed from the cluster")]
    public static partial void RemovedByPeer(ILogger logger, NodeId peer);

    [LoggerMessage(1112, LogLevel.Information, "Node {Peer} connected from {Remote}; no configuration known here names it")]
    public static partial void UnknownPeer(ILogger logger, NodeId peer, string remote);

    [LoggerMessage(1113, LogLevel.Warning, "The connection of {Remote} was ended to make room: too many do not say who they are")]
    public static partial void HandshakeEvicted(ILogger logger, string remote);

    [LoggerMessage(1114, LogLevel.Warning, "Nodes that connect are turned away: {Reason}. It goes on trying, and says when that is over")]
    public static partial void AcceptFailed(ILogger logger, string reason);

    [LoggerMessage(1115, LogLevel.Warning, "Peer address \"{Address}\" is not dialled: {Reason}")]
    public static partial void BadAddress(ILogger logger, string address, string reason);

    [LoggerMessage(1116, LogLevel.Warning, "The system gives no thread for the connection from {Remote}: {Reason}")]
    public static partial void NoThread(ILogger logger, string remote, string reason);

    [LoggerMessage(1117, LogLevel.Information, "Nodes are accepted again; {Count} connections were turned away since {Since:O}")]
    public static partial void AcceptsAgain(ILogger logger, long count, DateTimeOffset since);
}
