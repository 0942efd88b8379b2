using System.Collections.Immutable;
using System.Text.Json;
using System.Text.Json.Serialization.Metadata;
using RaftMirror.Contracts;
using RaftMirror.ControlPlane.Commands;
using RaftMirror.ControlPlane.Model;

namespace RaftMirror.Node.Commands;

/// <summary>Operators' operations as the log's commands: adds what only nodes know. Pure; ids come from the request id, so that a
/// repeat translates alike.</summary>
internal static class CommandTranslator
{
    /// <summary>Translates.</summary>
    /// <returns>A body, or a refusal because the request is malformed.</returns>
    public static Translation Translate(ClusterState state, CommandRequest request)
    {
        try
        {
            return request.Type switch
            {
                CommandTypes.CreateSet => CreateSet(request, Read(request, OperationJson.Default.CreateSetOperation)),
                CommandTypes.JoinSet => JoinSet(state, Read(request, OperationJson.Default.SetMemberOperation)),
                CommandTypes.LeaveSet => LeaveSet(state, Read(request, OperationJson.Default.SetMemberOperation)),
                CommandTypes.AddDisk => AddDisk(request, Read(request, OperationJson.Default.AddDiskOperation)),
                CommandTypes.SetDisk => SetDisk(Read(request, OperationJson.Default.SetDiskOperation)),
                CommandTypes.CreateMirror => CreateMirror(Read(request, OperationJson.Default.CreateMirrorOperation)),
                CommandTypes.DeleteMirror => DeleteMirror(Read(request, OperationJson.Default.DeleteMirrorOperation)),
                CommandTypes.MarkRecovered => MarkRecovered(state, Read(request, OperationJson.Default.MarkRecoveredOperation)),
                CommandTypes.ConfirmNodeOff => ConfirmNodeOff(state, Read(request, OperationJson.Default.ConfirmNodeOffOperation)),
                CommandTypes.MoveOwner => MoveOwner(state, Read(request, OperationJson.Default.MoveOwnerOperation)),
                _ => Refuse(request, $"There is no command '{request.Type}'."),
            };
        }
        catch (JsonException malformed)
        {
            return Refuse(request, $"The body of '{request.Type}' is malformed: {malformed.Message}");
        }
    }

    private static T Read<T>(CommandRequest request, JsonTypeInfo<T> type) =>
        request.Body.Deserialize(type) ?? throw new JsonException("it is null.");

    private static Translation Refuse(CommandRequest request, string message) => new(null, new ApiResult
    {
        Outcome = ApiOutcome.Rejected,
        Rejection = RejectionKind.Usage,
        Code = ProblemCodes.BadRequest,
        Message = $"{message} Nothing was applied.",
        RequestId = request.RequestId,
    });

    // The serializer takes any number for an enumeration, and null within a list: such a command could not even be written to the log.
    private static T Known<T>(T value, string name)
        where T : struct, Enum =>
        Enum.IsDefined(value) ? value : throw new JsonException($"{name}: {value} is none of {string.Join(", ", Enum.GetNames<T>())}.");

    private static ImmutableArray<string> NoNull(IReadOnlyList<string> values, string name) =>
        values.Contains(null!) ? throw new JsonException($"{name}: an element is null.") : [.. values];

    private static ImmutableSortedDictionary<string, string> NoNull(IReadOnlyDictionary<string, string> values, string name) =>
        values.Values.Contains(null!) ? throw new JsonException($"{name}: a value is null.") : values.ToImmutableSortedDictionary(StringComparer.Ordinal);

    private static Translation CreateSet(CommandRequest request, CreateSetOperation operation) => new(
        new CreateSet(
            operation.Set,
            request.RequestId,
            NoNull(operation.Nodes, "nodes"),
            operation.MaxNodes,
            operation.MetadataBytes ?? 64L << 20,
            Known(operation.Fencing, "fencing"))
        {
            DeviceTimeoutMs = operation.DeviceTimeoutMs ?? SetState.DefaultDeviceTimeoutMs,
        },
        null);

    private static Translation JoinSet(ClusterState state, SetMemberOperation operation) => new(
        new JoinSet(operation.Set, operation.Node, state.Node(operation.Node)?.Incarnation ?? 0, IsByOperator: true), null);

    private static Translation LeaveSet(ClusterState state, SetMemberOperation operation) => new(
        new LeaveSet(operation.Set, operation.Node, state.Node(operation.Node)?.Incarnation ?? 0, IsClosed: true), null); // The node itself sees to that.

    // Size, sector, adding node and evidence follow from what the nodes say (DiskAdmission).
    private static Translation AddDisk(CommandRequest request, AddDiskOperation operation) => new(
        new AddDisk(
            operation.Set,
            operation.Disk,
            request.RequestId,
            0,
            0,
            operation.DirectIo ?? true,
            "",
            operation.Path,
            NoNull(operation.Paths, "paths"),
            ImmutableSortedDictionary.Create<string, ulong>(StringComparer.Ordinal),
            IsOverwrite: operation.Overwrite ?? false),
        null);

    // The evidence follows from what the nodes find under the path (DiskRelocation).
    private static Translation SetDisk(SetDiskOperation operation) => new(
        new SetDiskPath(
            operation.Set,
            operation.Disk,
            operation.Path,
            NoNull(operation.Paths, "paths"),
            ImmutableSortedDictionary.Create<string, ulong>(StringComparer.Ordinal)),
        null);

    private static Translation CreateMirror(CreateMirrorOperation operation) => new(
        new CreateMirror(
            operation.Set,
            operation.Volume,
            operation.SizeBytes,
            NoNull(operation.Disks, "disks"),
            Known(operation.Recovery, "recovery"),
            Known(operation.Writers, "writers"),
            operation.RegionBytes,
            Known(operation.Read, "read"),
            Known(operation.Write, "write"),
            operation.Pass),
        null);

    private static Translation DeleteMirror(DeleteMirrorOperation operation) =>
        new(new DeleteMirror(operation.Set, operation.Volume), null);

    // A writer that dies between this look and the commit is not covered.
    private static Translation MarkRecovered(ClusterState state, MarkRecoveredOperation operation) =>
        new(new MarkRecovered(operation.Set, operation.Volume, operation.AsOfIndex ?? state.Index), null);

    private static Translation ConfirmNodeOff(ClusterState state, ConfirmNodeOffOperation operation) =>
        new(new ConfirmNodeOff(operation.Node, state.Node(operation.Node)?.Incarnation ?? 0), null);

    private static Translation MoveOwner(ClusterState state, MoveOwnerOperation operation) => new(
        new MoveOwner(
            operation.Set, operation.Volume, operation.To, state.Node(operation.To)?.Incarnation ?? 0, TransferReason.Planned),
        null);
}

/// <summary>A body for the log, or why there is none.</summary>
internal sealed record Translation(CommandBody? Body, ApiResult? Refusal);
