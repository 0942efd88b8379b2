using Microsoft.Extensions.Logging;
using RaftMirror.Consensus.Model;

namespace RaftMirror.Consensus.Node;

/// <summary>Log messages of the node: ids 1000 to 1099.</summary>
internal static partial class NodeLogMessages
{
    [LoggerMessage(1000, LogLevel.Information, "Node {Node} of cluster {ClusterId} starts, incarnation {Incarnation}: term {Term}, {Entries} entries, torn tail cut: {Torn}")]
    public static partial void Starting(ILogger logger, NodeId node, Guid clusterId, ulong incarnation, ulong term, int entries, bool torn);

    [LoggerMessage(1001, LogLevel.Information, "Node {Node} is {Role} in term {Term}, leader {Leader}")]
    public static partial void RoleChanged(ILogger logger, NodeId node, string role, ulong term, string leader);

    [LoggerMessage(1002, LogLevel.Critical, "Node {Node} stops: it can no longer keep its promises")]
    public static partial void Fatal(ILogger logger, NodeId node, Exception error);

    [LoggerMessage(1003, LogLevel.Information, "Node {Node} has stopped")]
    public static partial void Stopped(ILogger logger, NodeId node);

    [LoggerMessage(1014, LogLevel.Critical, "Node {Node} takes no part in the log: {Reason}")]
    public static partial void CastOut(ILogger logger, NodeId node, string reason);

    [LoggerMessage(1004, LogLevel.Warning, "Dropped Raft messages of peers: {Count} inputs are waiting")]
    public static partial void InboxFull(ILogger logger, int count);

    [LoggerMessage(1005, LogLevel.Information, "Node {Node} wrote a snapshot up to index {Index}: {Bytes} bytes, CRC-32C {Crc:x8}")]
    public static partial void SnapshotWritten(ILogger logger, NodeId node, ulong index, long bytes, uint crc);

    [LoggerMessage(1006, LogLevel.Warning, "Node {Node} could not write a snapshot up to index {Index}; the log is kept instead: {Error}")]
    public static partial void SnapshotFailed(ILogger logger, NodeId node, ulong index, string error);

    [LoggerMessage(1007, LogLevel.Information, "Node {Node} fetched a snapshot up to index {Index}: {Bytes} bytes")]
    public static partial void SnapshotFetched(ILogger logger, NodeId node, ulong index, long bytes);

    [LoggerMessage(1008, LogLevel.Warning, "Node {Node} could not fetch a snapshot: {Error}")]
    public static partial void FetchFailed(ILogger logger, NodeId node, string error);

    [LoggerMessage(1009, LogLevel.Information, "Node {Node} restored its state from a snapshot up to index {Index}, {Bytes} bytes")]
    public static partial void Restored(ILogger logger, NodeId node, ulong index, long bytes);

    [LoggerMessage(1010, LogLevel.Critical, "Node {Node} is quarantined and applies nothing any more: {Why}")]
    public static partial void Diverged(ILogger logger, NodeId node, string why);

    [LoggerMessage(1011, LogLevel.Information, "Node {Node}: members are {Configuration}, from index {Index} on")]
    public static partial void MembersChanged(ILogger logger, NodeId node, string configuration, ulong index);

    [LoggerMessage(1013, LogLevel.Warning, "Node {Node} could not keep what led to its failure: {Error}")]
    public static partial void TraceNotKept(ILogger logger, NodeId node, string error);

    [LoggerMessage(1012, LogLevel.Error, "Node {Node}: a snapshot is damaged and was passed over: {Why}")]
    public static partial void SnapshotDamaged(ILogger logger, NodeId node, string why);

    [LoggerMessage(1016, LogLevel.Error, "Node {Node}: the log cannot grow: {Reason}. Nothing is lost: commands are refused before it is full, and it is tried again by itself")]
    public static partial void LogCannotGrow(ILogger logger, NodeId node, string reason);

    [LoggerMessage(1017, LogLevel.Warning, "Node {Node}: {What}")]
    public static partial void StartWaits(ILogger logger, NodeId node, string what);

    [LoggerMessage(1015, LogLevel.Information, "Node {Node}: the log grows again")]
    public static partial void LogGrowsAgain(ILogger logger, NodeId node);
}
