using System.Net;
using System.Net.Sockets;
using System.Text;

namespace RaftMirror.Chaos.Driver;

/// <summary>What a node answered.</summary>
internal enum ReplyKind
{
    /// <summary>Done; the text is the result.</summary>
    Done,

    /// <summary>It certainly has had and will have no effect.</summary>
    Refused,

    /// <summary>It may have an effect: sent and not answered, or answered so.</summary>
    Unknown,
}

/// <param name="Kind">What became of the request.</param>
/// <param name="Text">The result, or the reason.</param>
internal readonly record struct Reply(ReplyKind Kind, string Text);

/// <summary>One client's connection to one node: made when it is needed, dropped when an answer does not come. One request at a time.</summary>
internal sealed class NodeConnection(ChaosCluster cluster, int node) : IDisposable
{
    private TcpClient? _client;
    private StreamReader? _reader;
    private int _port;

    /// <summary>Asks and waits.</summary>
    /// <param name="line">One request, without its end.</param>
    /// <param name="limit">How long the client waits.</param>
    public async Task<Reply> AskAsync(string line, TimeSpan limit)
    {
        var isSent = false;
        using var timeout = new CancellationTokenSource(limit);
        try
        {
            await ConnectAsync(timeout.Token);
            isSent = true;
            await _client!.GetStream().WriteAsync(Encoding.UTF8.GetBytes(line + '\n'), timeout.Token);
            var answer = await _reader!.ReadLineAsync(timeout.Token);
            if (answer is { Length: > 0 })
            {
                var kind = answer[0] switch
                {
                    'C' => ReplyKind.Done,
                    'N' => ReplyKind.Refused,
                    _ => ReplyKind.Unknown,
                };
                return new Reply(kind, answer.Length > 2 ? answer[2..] : string.Empty);
            }

            Dispose();
            return new Reply(ReplyKind.Unknown, "the connection ended");
        }
        catch (Exception error) when (error is SocketException or IOException or OperationCanceledException or ObjectDisposedException)
        {
            Dispose();
            return new Reply(isSent ? ReplyKind.Unknown : ReplyKind.Refused, error.Message);
        }
    }

    public void Dispose()
    {
        _reader?.Dispose();
        _client?.Dispose();
        _client = null;
    }

    private async Task ConnectAsync(CancellationToken cancellationToken)
    {
        var port = cluster.ClientPortOf(node);
        if (_client is not null && _port == port) return;
        Dispose();
        if (port == 0) throw new IOException("The node is down.");
        var client = new TcpClient { NoDelay = true };
        try
        {
            await client.ConnectAsync(IPAddress.Loopback, port, cancellationToken);
        }
        catch
        {
            client.Dispose();
            throw;
        }

        _client = client;
        _port = port;
        _reader = new StreamReader(client.GetStream(), new UTF8Encoding(false));
    }
}
