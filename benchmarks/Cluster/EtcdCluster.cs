using System.Globalization;
using System.Net.Http.Json;
using System.Text;
using System.Text.Json;
using RaftMirror.Primitives;

namespace RaftMirror.Benchmarks.Cluster;

/// <summary>
/// Debian's etcd with its default durability and timers. Puts come from h2load, a C program that speaks gRPC's HTTP/2 to the
/// leader: of the ways tried it gives etcd the highest figures, since it takes the least processor time from it. Its log of
/// requests gives the latencies, the store's revision proves that each answer was a commit.
/// </summary>
internal sealed class EtcdCluster(string directory, bool isTraced) : ServerCluster("etcd", directory, isTraced)
{
    private static readonly HttpClient Http = new() { Timeout = Timeout.InfiniteTimeSpan };
    private static readonly string PutJson = JsonSerializer.Serialize(new
    {
        key = Convert.ToBase64String(ClientProtocol.Key),
        value = Convert.ToBase64String(new byte[ClusterBenchmark.ValueBytes]),
    });

    private readonly IReadOnlyList<int> _ports = FreePorts.Take(2 * Size);

    /// <summary>Connections for so many outstanding puts; the rest is multiplexed. Set by `--etcd-connections`.</summary>
    public static Func<int, int> Connections { get; set; } = outstanding => Math.Min(outstanding, 128);

    public override async Task StartAsync(CancellationToken cancellationToken)
    {
        for (var node = 0; node < Size; node++) await StartNodeAsync(node, cancellationToken);
        await LeaderAsync(cancellationToken);
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        limit.CancelAfter(Patience);
        while (!await TryPutAsync(0, limit.Token)) await Task.Delay(50, limit.Token);
    }

    public override Task StartNodeAsync(int node, CancellationToken cancellationToken)
    {
        var members = string.Join(',', Enumerable.Range(0, Size).Select(other => $"n{other}={Url(Size + other)}"));
        Nodes[node] = Spawn(
            node, "etcd", "--name", $"n{node}", "--data-dir", Path.Combine(DataDirectory, $"node{node + 1}"),
            "--listen-client-urls", Url(node), "--advertise-client-urls", Url(node),
            "--listen-peer-urls", Url(Size + node), "--initial-advertise-peer-urls", Url(Size + node),
            "--initial-cluster", members, "--initial-cluster-token", Path.GetFileName(DataDirectory),
            "--logger", "zap", "--log-level", "error", "--log-outputs", Path.Combine(DataDirectory, $"node{node + 1}.log"));
        return Task.CompletedTask;
    }

    public override async Task<LoadResult> LoadAsync(
        int outstanding, double warmUpSeconds, double seconds, CancellationToken cancellationToken)
    {
        var leader = await LeaderAsync(cancellationToken);
        var before = await CountersAsync(cancellationToken);
        var body = Path.Combine(DataDirectory, "put.grpc");
        var log = Path.Combine(DataDirectory, "h2load.log");
        await File.WriteAllBytesAsync(body, GrpcPut(), cancellationToken);
        File.Delete(log);
        var connections = Connections(outstanding);
        await using var client = ChildProcess.Start(
            "h2load", "-c", $"{connections}", "-m", $"{outstanding / connections}", "-t", "1",
            "-D", $"{seconds * 1000:0}ms", $"--warm-up-time={warmUpSeconds * 1000:0}ms",
            "-d", body, "-H", "content-type: application/grpc", "-H", "te: trailers",
            $"--log-file={log}", $"{Url(leader)}/etcdserverpb.KV/Put");
        await client.OutputAsync(cancellationToken);
        var commits = (await CountersAsync(cancellationToken)).Commits - before.Commits;

        // Start in microseconds, HTTP status, duration in microseconds; nothing of the warm-up.
        var rows = File.ReadLines(log)
            .Select(line => line.Split('\t').Select(word => long.Parse(word, CultureInfo.InvariantCulture)).ToArray()).ToArray();
        var answered = rows.Where(row => row[1] == 200).ToArray();
        if (answered.Length == 0) throw new InvalidOperationException("h2load got no answer.");
        var span = (answered.Max(row => row[0] + row[2]) - answered.Min(row => row[0])) / 1e6;
        return LoadResult.From([.. answered.Select(row => (double)row[2])], commits, Math.Max(0, answered.Length - commits), span);
    }

    public override async Task<ClusterCounters> CountersAsync(CancellationToken cancellationToken)
    {
        var status = await StatusAsync(await LeaderAsync(cancellationToken), cancellationToken);
        double flushes = 0;
        for (var node = 0; node < Size; node++)
        {
            var metrics = await Http.GetStringAsync(new Uri($"{Url(node)}/metrics"), cancellationToken);
            flushes += metrics.Split('\n').Where(line => line.StartsWith("etcd_disk_wal_fsync_duration_seconds_count ", StringComparison.Ordinal))
                .Sum(line => double.Parse(line.Split(' ')[1], CultureInfo.InvariantCulture));
        }

        return new ClusterCounters(status.Revision, status.Term, null, (long)flushes);
    }

    public override async Task<int> LeaderAsync(CancellationToken cancellationToken)
    {
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        limit.CancelAfter(Patience);
        while (true)
        {
            for (var node = 0; node < Size; node++)
            {
                try
                {
                    if ((await StatusAsync(node, limit.Token)).IsLeader) return node;
                }
                catch (HttpRequestException)
                {
                    continue; // Not listening yet, or killed.
                }
            }

            await Task.Delay(20, limit.Token);
        }
    }

    public override async Task<bool> TryPutAsync(int node, CancellationToken cancellationToken)
    {
        try
        {
            using var content = new StringContent(PutJson, Encoding.UTF8, "application/json");
            using var answer = await Http.PostAsync(new Uri($"{Url(node)}/v3/kv/put"), content, cancellationToken);
            return answer.IsSuccessStatusCode;
        }
        catch (HttpRequestException)
        {
            return false;
        }
    }

    private string Url(int port) => $"http://127.0.0.1:{_ports[port]}";

    private async Task<(bool IsLeader, long Revision, ulong Term)> StatusAsync(int node, CancellationToken cancellationToken)
    {
        using var content = new StringContent("{}", Encoding.UTF8, "application/json");
        using var answer = await Http.PostAsync(new Uri($"{Url(node)}/v3/maintenance/status"), content, cancellationToken);
        answer.EnsureSuccessStatusCode();
        var status = await answer.Content.ReadFromJsonAsync<JsonElement>(cancellationToken);
        var header = status.GetProperty("header");
        string Text(JsonElement of, string name) => of.TryGetProperty(name, out var value) ? value.ToString() : "0";
        return (Text(status, "leader") == Text(header, "member_id"), long.Parse(Text(header, "revision"), CultureInfo.InvariantCulture),
            ulong.Parse(Text(header, "raft_term"), CultureInfo.InvariantCulture));
    }

    /// <summary>A PutRequest (key is field 1, value field 2) in gRPC's frame: not compressed, 4 bytes of length, big-endian.</summary>
    private static byte[] GrpcPut()
    {
        var value = new byte[ClusterBenchmark.ValueBytes];
        new Random(1).NextBytes(value);
        var message = new List<byte>();
        AddField(message, 1, ClientProtocol.Key);
        AddField(message, 2, value);
        return [0, .. BitConverter.GetBytes(message.Count).Reverse(), .. message];
    }

    private static void AddField(List<byte> message, int number, ReadOnlySpan<byte> data)
    {
        message.Add((byte)((number << 3) | 2));
        var length = (uint)data.Length;
        for (; length > 127; length >>= 7) message.Add((byte)(length | 128));
        message.Add((byte)length);
        message.AddRange(data);
    }
}
