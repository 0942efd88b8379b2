using RaftMirror.Integration.Tests.Telemetry;
using Xunit;

namespace RaftMirror.Integration.Tests.Harness;

/// <summary>One cluster for all tests that kill nothing: it has a set <c>main</c> with two large sparse disks, and exports its
/// spans to a receiver in this process.</summary>
public sealed class SharedCluster : IAsyncLifetime
{
    /// <summary>Name of the set.</summary>
    public const string Set = "main";

    internal TestCluster Cluster { get; private set; } = null!;

    internal OtlpReceiver Receiver { get; private set; } = null!;

    /// <inheritdoc/>
    public async Task InitializeAsync()
    {
        Receiver = await OtlpReceiver.StartAsync();
        Cluster = await TestCluster.StartAsync(environment: new Dictionary<string, string>
        {
            ["OTEL_EXPORTER_OTLP_ENDPOINT"] = Receiver.Endpoint.ToString().TrimEnd('/'),
            ["OTEL_EXPORTER_OTLP_PROTOCOL"] = "http/protobuf",
            ["OTEL_BSP_SCHEDULE_DELAY"] = "200",
        });
        try
        {
            await Cluster.CreateSetAsync(Set, disks: 2, megabytes: 2048);
        }
        catch (Exception failure)
        {
            throw new InvalidOperationException($"{failure.Message}\n{Cluster.Logs()}", failure);
        }
    }

    /// <inheritdoc/>
    public async Task DisposeAsync()
    {
        if (Cluster is not null) await Cluster.DisposeAsync();
        if (Receiver is not null) await Receiver.DisposeAsync();
    }
}

/// <summary>Tests on the shared cluster.</summary>
[CollectionDefinition(Name)]
public sealed class SharedClusterTests : ICollectionFixture<SharedCluster>
{
    /// <summary>Name of the collection.</summary>
    public const string Name = "shared cluster";
}
