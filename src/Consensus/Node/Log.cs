using Microsoft.Extensions.Logging;

namespace RaftMirror.Consensus.Node;

/// <summary>Log messages of the node: ids 1000 to 1099.</summary>
internal static partial class Log
{
    [LoggerMessage(1000, LogLevel.Information, "Node {Node} of cluster {ClusterId} starts, incarnation {Incarnation}: term {Term}, {Entries} entries, torn tail cut: {Torn}")]
    public static partial void Starting(ILogger logger, NodeId node, Guid clusterId, ulong incarnation, ulong term, int entries, bool torn);

    [LoggerMessage(1001, LogLevel.Information, "Node {Node} is {Role} in term {Term}, leader {Leader}")]
    public static partial void RoleChanged(ILogger logger, NodeId node, string role, ulong term, string leader);

    [LoggerMessage(1002, LogLevel.Critical, "Node {Node} stops: it can no longer keep its promises")]
    public static partial void Fatal(ILogger logger, NodeId node, Exception error);

    [LoggerMessage(1003, LogLevel.Information, "Node {Node} has stopped")]
    public static partial void Stopped(ILogger logger, NodeId node);

    [LoggerMessage(1004, LogLevel.Warning, "Dropped Raft messages of peers: {Count} inputs are waiting")]
    public static partial void InboxFull(ILogger logger, int count);
}
