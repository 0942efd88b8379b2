using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Json.Serialization;
using RaftMirror.Contracts;

namespace RaftMirror.Cli.Rendering;

/// <summary>JSON of what only the command line prints; the same conventions as <see cref="ApiJson"/>.</summary>
[JsonSourceGenerationOptions(
    PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase,
    UseStringEnumConverter = true,
    RespectNullableAnnotations = true,
    RespectRequiredConstructorParameters = true)]
[JsonSerializable(typeof(ExportReport))]
[JsonSerializable(typeof(RaftInspectReport))]
[JsonSerializable(typeof(RaftVerifyReport))]
[JsonSerializable(typeof(RaftRecoverReport))]
[JsonSerializable(typeof(TraceSummary[]))]
[JsonSerializable(typeof(IReadOnlyList<DisksetStatus>))]
[JsonSerializable(typeof(IReadOnlyList<VolumeStatus>))]
[JsonSerializable(typeof(IReadOnlyList<DiskReport>))]
[JsonSerializable(typeof(IReadOnlyList<SubmirrorReport>))]
[JsonSerializable(typeof(IReadOnlyList<JsonElement>))]
[JsonSerializable(typeof(OwnerReport))]
[JsonSerializable(typeof(VersionReport))]
[JsonSerializable(typeof(WaitReport))]
[JsonSerializable(typeof(DemoReport))]
internal sealed partial class ReportJson : JsonSerializerContext
{
    /// <summary>The same contracts, indented for people who read JSON; used by <c>-o json</c>.</summary>
    public static ReportJson Indented => Forms.Indented;

    /// <summary>One line each, readable text unescaped.</summary>
    public static ReportJson Line => Forms.Line;

    /// <summary>In a class of its own: Default is initialised by generated code, in no order that this file could rely on.</summary>
    private static class Forms
    {
        public static readonly ReportJson Indented = new(new JsonSerializerOptions(Default.Options)
        {
            WriteIndented = true,
            Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping,
        });

        public static readonly ReportJson Line = new(new JsonSerializerOptions(Default.Options)
        {
            Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping,
        });
    }
}
