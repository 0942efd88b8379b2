using Microsoft.AspNetCore.Connections;
using Microsoft.AspNetCore.Connections.Features;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;
using RaftMirror.Primitives;

namespace RaftMirror.Node.Http;

/// <summary>Bounds how many HTTP clients are connected at a time, and so what they hold: a body has at most 1 MiB, headers 32 KiB, and what waits to be
/// sent to one client 64 KiB. Those beyond are closed at once. Any thread.</summary>
/// <param name="maxConnections">At a time.</param>
/// <param name="descriptorsBelow">Connections whose descriptor's number is not below this are closed too; see <see cref="DescriptorTiers"/>.</param>
/// <param name="logger">Null for none.</param>
internal sealed partial class ApiDoor(
    int maxConnections = ApiDoor.DefaultMaxConnections, int descriptorsBelow = int.MaxValue, ILogger? logger = null)
{
    public const int DefaultMaxConnections = 256;
    private static readonly TimeSpan Calm = TimeSpan.FromSeconds(10);

    private readonly AcceptEpisodes _episodes = new(
        episode => LogRefuses(logger ?? NullLogger.Instance, episode.Reason),
        episode => LogAccepts(logger ?? NullLogger.Instance, episode.Refused, episode.Since),
        Calm,
        TimeProvider.System);

    private int _connections;

    /// <summary>What clients are turned away for at this moment; null if they are not.</summary>
    public AcceptEpisode? Refusing => _episodes.Current;

    /// <summary>Puts the bound before a listener.</summary>
    public void Guard(ListenOptions listener)
    {
        listener.Protocols = HttpProtocols.Http1;
        listener.Use(next => connection => ServeAsync(next, connection));
    }

    private async Task ServeAsync(ConnectionDelegate next, ConnectionContext connection)
    {
        var count = Interlocked.Increment(ref _connections);
        try
        {
            if (count > maxConnections) Refuse(connection, $"{maxConnections} clients are connected, which is the most that are served");
            else if (NumberOf(connection) >= descriptorsBelow)
                Refuse(connection, $"{descriptorsBelow} file descriptors are in use, the others are kept for the log, the disks and the nodes");
            else await next(connection);
        }
        finally
        {
            Interlocked.Decrement(ref _connections);
        }
    }

    private static long NumberOf(ConnectionContext connection) =>
        connection.Features.Get<IConnectionSocketFeature>()?.Socket.Handle ?? 0;

    private void Refuse(ConnectionContext connection, string reason)
    {
        _episodes.Refuse(reason);
        connection.Abort();
    }

    [LoggerMessage(3040, LogLevel.Warning, "HTTP clients are turned away: {Reason}")]
    private static partial void LogRefuses(ILogger logger, string reason);

    [LoggerMessage(3041, LogLevel.Information, "HTTP clients are taken in again; {Count} were turned away since {Since:O}")]
    private static partial void LogAccepts(ILogger logger, long count, DateTimeOffset since);
}
