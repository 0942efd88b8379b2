using OpenTelemetry;
using OpenTelemetry.Resources;
using OpenTelemetry.Trace;
using RaftMirror.Primitives;

namespace RaftMirror.Node.Telemetry;

/// <summary>Exports spans by OTLP, only if the standard variable asks for it. The exporter reads the other
/// OTEL_EXPORTER_OTLP_* variables itself; it batches on its own thread and drops rather than delaying anyone.</summary>
internal static class TelemetryExport
{
    public const string EndpointVariable = "OTEL_EXPORTER_OTLP_ENDPOINT";

    /// <summary>Starts the export; dispose it at shutdown to flush.</summary>
    /// <param name="node">service.instance.id.</param>
    /// <returns>Null if no endpoint is set.</returns>
    public static TracerProvider? Start(string node) =>
        string.IsNullOrEmpty(Environment.GetEnvironmentVariable(EndpointVariable)) ? null : Build(node, null);

    /// <summary>Starts the export to a given endpoint.</summary>
    internal static TracerProvider Build(
        string node, Action<OpenTelemetry.Exporter.OtlpExporterOptions>? configure, string sourceName = Tracing.SourceName) =>
        Sdk.CreateTracerProviderBuilder()
            .SetResourceBuilder(ResourceBuilder.CreateDefault()
                .AddService("raftmirror", serviceVersion: BuildInfo.Version, serviceInstanceId: node)
                .AddAttributes([new KeyValuePair<string, object>("host.name", Environment.MachineName)]))
            .SetSampler(new AlwaysOnSampler()) // Control-plane spans are rare; I/O has none.
            .AddSource(sourceName)
            .AddOtlpExporter(options => configure?.Invoke(options))
            .Build();
}
