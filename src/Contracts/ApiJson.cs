using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Json.Serialization;

namespace RaftMirror.Contracts;

/// <summary>JSON of the HTTP API and of <c>-o json</c>: camelCase, enums as camelCase words, nulls written out.</summary>
[JsonSourceGenerationOptions(
    PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase,
    UseStringEnumConverter = true,
    RespectNullableAnnotations = true,
    RespectRequiredConstructorParameters = true)]
[JsonSerializable(typeof(StatusDocument))]
[JsonSerializable(typeof(ClockDocument))]
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
[JsonSerializable(typeof(CommandRequest))]
[JsonSerializable(typeof(ApiResult))]
[JsonSerializable(typeof(Problem))]
[JsonSerializable(typeof(SpanPage))]
[JsonSerializable(typeof(SpanQuery))]
[JsonSerializable(typeof(SpanRecord))]
[JsonSerializable(typeof(IReadOnlyList<SubmirrorMap>))]
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
