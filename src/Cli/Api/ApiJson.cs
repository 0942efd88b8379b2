using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Json.Serialization;
using RaftMirror.Cli.Telemetry;

namespace RaftMirror.Cli.Api;

/// <summary>JSON of the HTTP API and of <c>-o json</c>: camelCase, enums as camelCase words, nulls written out.</summary>
[JsonSourceGenerationOptions(
    PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase,
    UseStringEnumConverter = true,
    RespectNullableAnnotations = true,
    RespectRequiredConstructorParameters = true)]
[JsonSerializable(typeof(StatusDocument))]
[JsonSerializable(typeof(ClockDocument))]
[JsonSerializable(typeof(Output.ExportReport))]
[JsonSerializable(typeof(NodesDocument))]
[JsonSerializable(typeof(RaftPeersDocument))]
[JsonSerializable(typeof(TransferLeadershipRequest))]
[JsonSerializable(typeof(MemberRequest))]
[JsonSerializable(typeof(MemberReport))]
[JsonSerializable(typeof(JoinRequest))]
[JsonSerializable(typeof(JoinDocument))]
[JsonSerializable(typeof(ReseedBody))]
[JsonSerializable(typeof(RaftLogDocument))]
[JsonSerializable(typeof(RaftSnapshotsDocument))]
[JsonSerializable(typeof(RaftInspectReport))]
[JsonSerializable(typeof(RaftVerifyReport))]
[JsonSerializable(typeof(RaftRecoverReport))]
[JsonSerializable(typeof(CommandRequest))]
[JsonSerializable(typeof(ApiResult))]
[JsonSerializable(typeof(Problem))]
[JsonSerializable(typeof(SpanPage))]
[JsonSerializable(typeof(SpanQuery))]
[JsonSerializable(typeof(SpanRecord))]
[JsonSerializable(typeof(TraceSummary[]))]
[JsonSerializable(typeof(IReadOnlyList<SubmirrorMap>))]
[JsonSerializable(typeof(IReadOnlyList<DisksetStatus>))]
[JsonSerializable(typeof(IReadOnlyList<VolumeStatus>))]
[JsonSerializable(typeof(IReadOnlyList<DiskStatus>))]
[JsonSerializable(typeof(IReadOnlyList<SubmirrorStatus>))]
[JsonSerializable(typeof(IReadOnlyList<JsonElement>))]
[JsonSerializable(typeof(OwnerReport))]
[JsonSerializable(typeof(VersionReport))]
[JsonSerializable(typeof(WaitReport))]
[JsonSerializable(typeof(Demo.DemoReport))]
internal sealed partial class ApiJson : JsonSerializerContext
{
    /// <summary>The same contracts, indented for people who read JSON; used by <c>-o json</c>.</summary>
    public static ApiJson Indented => Forms.Indented;

    /// <summary>One line each, readable text unescaped.</summary>
    public static ApiJson Line => Forms.Line;

    /// <summary>In a class of its own: Default is initialised by generated code, in no order that this file could rely on.</summary>
    private static class Forms
    {
        public static readonly ApiJson Indented = new(new JsonSerializerOptions(Default.Options)
        {
            WriteIndented = true,
            Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping,
        });

        public static readonly ApiJson Line = new(new JsonSerializerOptions(Default.Options)
        {
            Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping,
        });
    }
}

/// <summary>Body of POST /v1/raft/transfer.</summary>
internal sealed record TransferLeadershipRequest(string? To);

/// <summary>Answer of <c>owner show</c> and <c>owner move</c>.</summary>
internal sealed record OwnerReport
{
    public required string Volume { get; init; }

    public required OwnerStatus? Owner { get; init; }

    public OwnerStatus? Previous { get; init; }

    public long? DurationMs { get; init; }

    public string? TraceId { get; init; }

    public Guid? RequestId { get; init; }
}

internal sealed record VersionReport(string Version, string Runtime);

internal sealed record WaitReport(string Object, string Condition, bool Holds, long WaitedMs, ulong Index);
