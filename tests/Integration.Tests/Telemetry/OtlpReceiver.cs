using System.Collections.Concurrent;
using System.IO.Compression;
using System.Net;
using System.Net.Sockets;
using System.Text;

namespace RaftMirror.Integration.Tests.Telemetry;

/// <summary>A collector just large enough to prove the export: takes POST /v1/traces as protobuf on loopback and keeps the
/// spans. It speaks plain HTTP/1.1 over a socket, so that nothing of the exporter's own stack is under it.</summary>
internal sealed class OtlpReceiver : IAsyncDisposable
{
    private const int MaxBodyBytes = 16 << 20;

    private readonly TcpListener _listener = new(IPAddress.Loopback, 0);
    private readonly CancellationTokenSource _stop = new();
    private readonly ConcurrentQueue<OtlpSpan> _spans = new();
    private readonly ConcurrentQueue<string> _problems = new();
    private Task _accepting = Task.CompletedTask;

    /// <summary>Base address for OTEL_EXPORTER_OTLP_ENDPOINT.</summary>
    public Uri Endpoint { get; private set; } = null!;

    /// <summary>Everything received so far.</summary>
    public IReadOnlyList<OtlpSpan> Spans => [.. _spans];

    /// <summary>What could not be understood.</summary>
    public IReadOnlyList<string> Problems => [.. _problems];

    public static Task<OtlpReceiver> StartAsync()
    {
        var receiver = new OtlpReceiver();
        receiver._listener.Start();
        receiver.Endpoint = new Uri($"http://127.0.0.1:{((IPEndPoint)receiver._listener.LocalEndpoint).Port}");
        receiver._accepting = receiver.AcceptAsync();
        return Task.FromResult(receiver);
    }

    public async ValueTask DisposeAsync()
    {
        await _stop.CancelAsync();
        _listener.Dispose();
        await _accepting;
        _stop.Dispose();
    }

    private async Task AcceptAsync()
    {
        var connections = new List<Task>();
        try
        {
            while (true) connections.Add(ServeAsync(await _listener.AcceptTcpClientAsync(_stop.Token)));
        }
        catch (Exception end) when (end is OperationCanceledException or SocketException or ObjectDisposedException)
        {
            await Task.WhenAll(connections);
        }
    }

    private async Task ServeAsync(TcpClient client)
    {
        using var connection = client;
        try
        {
            var stream = client.GetStream();
            while (await ReadHeadAsync(stream) is { } head)
            {
                var body = await ReadBodyAsync(stream, head);
                if (head.Path.EndsWith("/v1/traces", StringComparison.Ordinal))
                {
                    foreach (var span in OtlpSpan.Decode(body)) _spans.Enqueue(span);
                }

                await stream.WriteAsync(Encoding.ASCII.GetBytes(
                    "HTTP/1.1 200 OK\r\nContent-Type: application/x-protobuf\r\nContent-Length: 0\r\n\r\n"), _stop.Token);
            }
        }
        catch (Exception end) when (end is IOException or OperationCanceledException)
        {
            // The node was stopped, or the test is over.
        }
        catch (InvalidDataException problem)
        {
            _problems.Enqueue(problem.Message);
        }
    }

    private async Task<Head?> ReadHeadAsync(NetworkStream stream)
    {
        var text = new StringBuilder();
        var one = new byte[1];
        while (!EndsHead(text))
        {
            if (await stream.ReadAsync(one, _stop.Token) == 0) return null;
            text.Append((char)one[0]);
            if (text.Length > 1 << 16) throw new InvalidDataException("endless request head");
        }

        var lines = text.ToString().Split("\r\n", StringSplitOptions.RemoveEmptyEntries);
        var headers = lines.Skip(1).Select(line => line.Split(':', 2))
            .ToDictionary(pair => pair[0].Trim(), pair => pair[1].Trim(), StringComparer.OrdinalIgnoreCase);
        return new Head(lines[0].Split(' ')[1], headers);
    }

    private async Task<byte[]> ReadBodyAsync(NetworkStream stream, Head head)
    {
        byte[] body;
        if (head.Headers.TryGetValue("Content-Length", out var length))
        {
            body = new byte[Math.Min(int.Parse(length), MaxBodyBytes)];
            await stream.ReadExactlyAsync(body, _stop.Token);
        }
        else
        {
            body = await ReadChunksAsync(stream);
        }

        if (!head.Headers.TryGetValue("Content-Encoding", out var encoding) || encoding != "gzip") return body;
        using var unpacked = new MemoryStream();
        await using (var gzip = new GZipStream(new MemoryStream(body), CompressionMode.Decompress)) await gzip.CopyToAsync(unpacked);
        return unpacked.ToArray();
    }

    private async Task<byte[]> ReadChunksAsync(NetworkStream stream)
    {
        using var body = new MemoryStream();
        while (true)
        {
            var line = new StringBuilder();
            var one = new byte[1];
            while (!line.ToString().EndsWith("\r\n", StringComparison.Ordinal))
            {
                await stream.ReadExactlyAsync(one, _stop.Token);
                line.Append((char)one[0]);
            }

            var size = Convert.ToInt32(line.ToString().Trim(), 16);
            if (body.Length + size > MaxBodyBytes) throw new InvalidDataException("endless request body");
            var chunk = new byte[size + 2];
            await stream.ReadExactlyAsync(chunk, _stop.Token);
            if (size == 0) return body.ToArray();
            body.Write(chunk, 0, size);
        }
    }

    private static bool EndsHead(StringBuilder text) =>
        text.Length >= 4 && text[^4] == '\r' && text[^3] == '\n' && text[^2] == '\r' && text[^1] == '\n';

    private sealed record Head(string Path, Dictionary<string, string> Headers);
}
