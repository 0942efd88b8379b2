using System.Net.Sockets;

namespace RaftMirror.Contracts.Client;

/// <summary>Where a node's HTTP API is: http://HOST:PORT, HOST:PORT, or a Unix socket as unix:PATH.</summary>
internal sealed record NodeAddress(string Text, Uri BaseUri, string? SocketPath)
{
    public const string EnvironmentVariable = "RAFTMIRROR_NODES";
    public const string DefaultSocket = "/run/raftmirror/" + ApiNames.SocketName;

    /// <summary>Parses a comma-separated list.</summary>
    /// <returns>Null if done, else what is wrong.</returns>
    public static string? TryParseList(string text, out IReadOnlyList<NodeAddress> addresses)
    {
        var list = new List<NodeAddress>();
        addresses = list;
        foreach (var item in text.Split(',', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries))
        {
            if (item.StartsWith("unix:", StringComparison.Ordinal) && item.Length > 5)
            {
                list.Add(new NodeAddress(item, new Uri("http://localhost"), item[5..]));
                continue;
            }

            var plain = item.StartsWith("http://", StringComparison.Ordinal) ? item[7..].TrimEnd('/') : item;
            if (plain.Contains("://", StringComparison.Ordinal)) return $"'{item}': only http:// and unix: are spoken.";
            if (HostPort.TryParseLoopback(plain, out var endpoint) is { } error) return error;
            list.Add(new NodeAddress(item, new Uri($"http://{endpoint}"), null));
        }

        return list.Count == 0 ? "Name at least one node." : null;
    }

    public HttpClient CreateClient()
    {
        var handler = new SocketsHttpHandler
        {
            UseProxy = false, // Loopback and sockets only: a proxy from the environment would be wrong.
            ConnectTimeout = TimeSpan.FromSeconds(2),
            ActivityHeadersPropagator = null, // The trace context is set by hand.
        };
        if (SocketPath is { } path)
        {
            handler.ConnectCallback = async (_, cancellationToken) =>
            {
                var socket = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
                try
                {
                    await socket.ConnectAsync(new UnixDomainSocketEndPoint(path), cancellationToken);
                    return new NetworkStream(socket, ownsSocket: true);
                }
                catch
                {
                    socket.Dispose();
                    throw;
                }
            };
        }

        return new HttpClient(handler) { BaseAddress = BaseUri, Timeout = Timeout.InfiniteTimeSpan };
    }
}
