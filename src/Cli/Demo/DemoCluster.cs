using System.Text.Json;
using System.Text.Json.Serialization.Metadata;
using RaftMirror.Cli.CommandLine;
using RaftMirror.Contracts;
using RaftMirror.Contracts.Client;
using RaftMirror.Primitives;

namespace RaftMirror.Cli.Demo;

/// <summary>The demo's cluster: processes, disk files, and a client of the public API. Nothing here knows the daemon's inside.</summary>
internal sealed class DemoCluster : IDisposable
{
    public const string Set = "demo";
    public const string Volume = "d10";
    public const long VolumeBytes = 128L << 20;
    public const long DiskBytes = 256L << 20;
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(60);

    private readonly string _directory;
    private readonly string _clusterMap;

    public DemoCluster(string directory, int nodes)
    {
        _directory = directory;
        var ports = FreePorts.Take(nodes * 3);
        Nodes = [.. Enumerable.Range(0, nodes).Select(i =>
            new DemoNode(((char)('a' + i)).ToString(), directory, ports[3 * i], ports[(3 * i) + 1], ports[(3 * i) + 2]))];
        _clusterMap = string.Join(',', Nodes.Select(node => $"{node.Name}={node.Peer}"));
        foreach (var disk in Disks)
        {
            using var file = File.Create(disk.Path);
            file.SetLength(DiskBytes); // Sparse.
        }
    }

    public IReadOnlyList<DemoNode> Nodes { get; }

    public IReadOnlyList<(string Name, string Path)> Disks =>
        [.. Enumerable.Range(0, 3).Select(i => ($"disk{i}", Path.Combine(_directory, $"disk{i}.img")))];

    public static string Export => $"{Set}/{Volume}";

    public DemoNode Node(string name) => Nodes.First(node => node.Name == name);

    public IReadOnlyList<DemoNode> Running => [.. Nodes.Where(node => node.IsRunning)];

    public void Start(DemoNode node) => node.Start(_clusterMap);

    /// <summary>A client that asks the running nodes.</summary>
    public ApiClient Connect(DemoNode? first = null)
    {
        var order = Running.OrderBy(node => node == first ? 0 : 1).Select(node => node.Api);
        if (NodeAddress.TryParseList(string.Join(',', order), out var addresses) is { } error)
            throw ApiException.Unreachable($"No node of the demo runs any more. {error}", $"See the logs in {_directory}.");
        return new ApiClient(addresses, Patience);
    }

    public async Task SubmitAsync<T>(string type, T body, JsonTypeInfo<T> json, CancellationToken cancellationToken, DemoNode? at = null)
    {
        using var client = Connect(at);
        await client.SubmitAsync(
            new CommandRequest
            {
                Type = type,
                Body = JsonSerializer.SerializeToElement(body, json),
                RequestId = Guid.Empty,
                By = CliContext.By,
            },
            cancellationToken);
    }

    /// <summary>Waits for a condition on the whole status.</summary>
    /// <exception cref="DemoFailedException">It does not hold in time.</exception>
    public async Task<(StatusDocument Status, TimeSpan Waited)> WaitAsync(
        string what, Func<StatusDocument, bool> condition, CancellationToken cancellationToken)
    {
        using var client = Connect();
        var (holds, last, waited) = await Waiting.UntilAsync(client, Patience, condition, cancellationToken);
        return holds ? (last!, waited) : throw new DemoFailedException($"{what}: not within {Patience.TotalSeconds:0} s");
    }

    public async Task<VolumeStatus> VolumeAsync(CancellationToken cancellationToken)
    {
        using var client = Connect();
        return (await client.StatusAsync(Set, Volume, stale: false, cancellationToken)).Disksets[0].Volumes[0];
    }

    public static VolumeStatus? VolumeOf(StatusDocument document) =>
        document.Disksets.FirstOrDefault(set => set.Name == Set)?.Volumes.FirstOrDefault(volume => volume.Name == Volume);

    public static DisksetStatus? SetOf(StatusDocument document) => document.Disksets.FirstOrDefault(set => set.Name == Set);

    public static bool IsSynced(StatusDocument document) => VolumeOf(document) is { Resync: null, StaleRegions: 0, State: "okay" };

    /// <summary>Compares all submirrors on the raw disk files, as their map says.</summary>
    /// <returns>Bytes that differ between any two; 0 if all are identical.</returns>
    public async Task<long> CompareLegsAsync(CancellationToken cancellationToken)
    {
        using var client = Connect();
        var map = await client.MapAsync(Set, Volume, cancellationToken);
        const int chunk = 1 << 20;
        var first = new byte[chunk];
        var other = new byte[chunk];
        long differing = 0;
        for (long offset = 0; offset < VolumeBytes; offset += chunk)
        {
            await ReadLegAsync(map[0], offset, first, cancellationToken);
            foreach (var leg in map.Skip(1))
            {
                await ReadLegAsync(leg, offset, other, cancellationToken);
                for (var i = 0; i < chunk; i++) differing += first[i] != other[i] ? 1 : 0;
            }
        }

        return differing;
    }

    public async Task<IReadOnlyList<JsonElement>> EventsAsync(ulong since, CancellationToken cancellationToken)
    {
        using var client = Connect();
        return await EventPrinter.ReadAllAsync(client, since, cancellationToken);
    }

    public void Dispose()
    {
        foreach (var node in Nodes) node.Dispose();
    }

    private static async Task ReadLegAsync(SubmirrorMap leg, long volumeOffset, Memory<byte> buffer, CancellationToken cancellationToken)
    {
        // Extents and the chunks of the comparison are both whole MiB, so that no chunk crosses an extent's end.
        var extent = leg.Extents.First(item => volumeOffset >= item.VolumeOffsetBytes && volumeOffset < item.VolumeOffsetBytes + item.LengthBytes);
        await using var file = new FileStream(extent.Path, FileMode.Open, FileAccess.Read, FileShare.ReadWrite, bufferSize: 0);
        file.Position = extent.DiskOffsetBytes + volumeOffset - extent.VolumeOffsetBytes;
        await file.ReadExactlyAsync(buffer, cancellationToken);
    }
}

/// <summary>A step of the demo did not go as promised.</summary>
internal sealed class DemoFailedException(string message) : Exception(message);
