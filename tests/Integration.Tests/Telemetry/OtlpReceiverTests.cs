using System.Diagnostics;
using OpenTelemetry;
using OpenTelemetry.Exporter;
using OpenTelemetry.Resources;
using OpenTelemetry.Trace;
using RaftMirror.Integration.Tests.Harness;
using Xunit;

namespace RaftMirror.Integration.Tests.Telemetry;

/// <summary>The collector understands the real exporter.</summary>
public sealed class OtlpReceiverTests
{
    [Fact]
    public async Task Receiver_GivenSpansByTheExporter_KeepsIdsNamesAndResource()
    {
        await using var receiver = await OtlpReceiver.StartAsync();
        using var source = new ActivitySource("receiver-test");
        using var provider = Sdk.CreateTracerProviderBuilder()
            .AddSource(source.Name)
            .ConfigureResource(resource => resource.AddService("some-service", serviceInstanceId: "a"))
            .AddOtlpExporter(options =>
            {
                options.Endpoint = new Uri(receiver.Endpoint, "/v1/traces");
                options.Protocol = OtlpExportProtocol.HttpProtobuf;
            })
            .Build();
        string trace, parent;
        using (var outer = source.StartActivity("outer")!)
        {
            (trace, parent) = (outer.TraceId.ToHexString(), outer.SpanId.ToHexString());
            using var inner = source.StartActivity("inner")!;
            inner.SetTag("volume.name", "s/v");
        }

        Assert.True(provider.ForceFlush(20_000));
        await Eventually.TrueAsync("both spans are there", TimeSpan.FromSeconds(20), () => Task.FromResult(receiver.Spans.Count == 2));
        Assert.Empty(receiver.Problems);
        var found = Assert.Single(receiver.Spans, span => span.Name == "inner");
        Assert.Equal((trace, parent, "some-service", "a"), (found.TraceId, found.ParentSpanId, found.Service, found.Instance));
        Assert.Equal("s/v", found.Attributes["volume.name"]);
        Assert.Equal("", Assert.Single(receiver.Spans, span => span.Name == "outer").ParentSpanId);
    }
}
