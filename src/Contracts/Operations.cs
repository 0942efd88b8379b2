using System.Text.Json.Serialization;

namespace RaftMirror.Contracts;

// What an operator can ask by POST /v1/commands: type + body. They are not the log's commands: the daemon adds what only
// nodes know (ids, incarnations, sizes, evidence) after it has asked them, and proposes the command that results.

/// <summary>The values of <see cref="CommandRequest.Type"/>.</summary>
internal static class CommandTypes
{
    /// <summary>Body <see cref="CreateSetOperation"/>. Result data: id.</summary>
    public const string CreateSet = "createSet";

    /// <summary>Body <see cref="SetMemberOperation"/>.</summary>
    public const string JoinSet = "joinSet";

    /// <summary>Body <see cref="SetMemberOperation"/>.</summary>
    public const string LeaveSet = "leaveSet";

    /// <summary>Body <see cref="AddDiskOperation"/>. Result data: id.</summary>
    public const string AddDisk = "addDisk";

    /// <summary>Body <see cref="SetDiskOperation"/>.</summary>
    public const string SetDisk = "setDisk";

    /// <summary>Body <see cref="CreateMirrorOperation"/>. Result data: number.</summary>
    public const string CreateMirror = "createMirror";

    /// <summary>Body <see cref="DeleteMirrorOperation"/>. Applied once the deletion is committed; the client waits until the
    /// volume has vanished.</summary>
    public const string DeleteMirror = "deleteMirror";

    /// <summary>Body <see cref="MarkRecoveredOperation"/>: the application has repaired an ABR volume.</summary>
    public const string MarkRecovered = "markRecovered";

    /// <summary>Body <see cref="ConfirmNodeOffOperation"/>: an operator knows that the machine is off.</summary>
    public const string ConfirmNodeOff = "confirmNodeOff";

    /// <summary>Body <see cref="MoveOwnerOperation"/>. Applied once the transfer is committed as started (or the node owns
    /// already); the client waits for OwnerChanged or TransferCancelled. Result data: epoch.</summary>
    public const string MoveOwner = "moveOwner";
}

/// <param name="Set">Name.</param>
/// <param name="Nodes">Names.</param>
/// <param name="MaxNodes">Dirty-log slots.</param>
/// <param name="MetadataBytes">Metadata area of each disk; null for the default.</param>
/// <param name="Fencing">lease.</param>
/// <param name="DeviceTimeoutMs">Age of a device call from which its disk counts as lost; null for the default.</param>
internal sealed record CreateSetOperation(
    string Set, IReadOnlyList<string> Nodes, int MaxNodes, long? MetadataBytes, FencingKind Fencing, long? DeviceTimeoutMs = null);

internal sealed record SetMemberOperation(string Set, string Node);

/// <param name="Set">Set.</param>
/// <param name="Disk">Name in the set.</param>
/// <param name="Path">Path on nodes that <paramref name="Paths"/> does not name.</param>
/// <param name="Paths">Path by node.</param>
/// <param name="DirectIo">O_DIRECT; null: the daemon's choice for this kind of file.</param>
/// <param name="Overwrite">True: what stands on the disk may be lost; else only a blank disk is taken.</param>
internal sealed record AddDiskOperation(
    string Set, string Disk, string Path, IReadOnlyDictionary<string, string> Paths, bool? DirectIo, bool? Overwrite = null);

/// <param name="Set">Set.</param>
/// <param name="Disk">Name in the set.</param>
/// <param name="Path">Path on nodes that <paramref name="Paths"/> does not name; null: as before.</param>
/// <param name="Paths">Path by node. With a path for all these are the only ones that differ; without, they are added.</param>
internal sealed record SetDiskOperation(string Set, string Disk, string? Path, IReadOnlyDictionary<string, string> Paths);

internal sealed record CreateMirrorOperation(
    string Set,
    string Volume,
    long SizeBytes,
    IReadOnlyList<string> Disks,
    RecoveryMode Recovery,
    WriterMode Writers,
    ReadPolicy Read,
    WriteMode Write,
    int Pass,
    int RegionBytes);

internal sealed record DeleteMirrorOperation(string Set, string Volume);

/// <param name="Set">Set.</param>
/// <param name="Volume">Volume.</param>
/// <param name="AsOfIndex">Refused if a writer died after this log index; null: after the leader looked.</param>
internal sealed record MarkRecoveredOperation(string Set, string Volume, ulong? AsOfIndex = null);

/// <param name="Node">Node whose machine is off.</param>
internal sealed record ConfirmNodeOffOperation(string Node);

/// <param name="Set">Set.</param>
/// <param name="Volume">Volume.</param>
/// <param name="To">Node that shall own.</param>
internal sealed record MoveOwnerOperation(string Set, string Volume, string To);

/// <summary>JSON of the operations.</summary>
[JsonSourceGenerationOptions(
    PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase,
    UseStringEnumConverter = true,
    RespectNullableAnnotations = true,
    RespectRequiredConstructorParameters = true)]
[JsonSerializable(typeof(CreateSetOperation))]
[JsonSerializable(typeof(SetMemberOperation))]
[JsonSerializable(typeof(AddDiskOperation))]
[JsonSerializable(typeof(SetDiskOperation))]
[JsonSerializable(typeof(CreateMirrorOperation))]
[JsonSerializable(typeof(DeleteMirrorOperation))]
[JsonSerializable(typeof(MoveOwnerOperation))]
[JsonSerializable(typeof(MarkRecoveredOperation))]
[JsonSerializable(typeof(ConfirmNodeOffOperation))]
internal sealed partial class OperationJson : JsonSerializerContext;
