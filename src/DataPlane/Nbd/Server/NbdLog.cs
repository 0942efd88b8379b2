using Microsoft.Extensions.Logging;

namespace RaftMirror.DataPlane.Nbd.Server;

/// <summary>Log messages of the NBD server; ids 3000 to 3099.</summary>
internal static partial class NbdLog
{
    [LoggerMessage(3000, LogLevel.Information, "NBD listens on {Endpoint}")]
    public static partial void Listening(ILogger logger, string endpoint);

    [LoggerMessage(3001, LogLevel.Debug, "NBD client {Client} attached {Export}")]
    public static partial void Attached(ILogger logger, string client, string export);

    [LoggerMessage(3002, LogLevel.Debug, "NBD client {Client} of {Export} left: {Reason}")]
    public static partial void Left(ILogger logger, string client, string? export, string reason);

    [LoggerMessage(3003, LogLevel.Error, "A request of NBD client {Client} of {Export} threw; its outcome is unknown, so the connection is dropped")]
    public static partial void RequestThrew(ILogger logger, string client, string? export, Exception exception);

    [LoggerMessage(3004, LogLevel.Error, "NBD connection of {Client} failed")]
    public static partial void ConnectionFailed(ILogger logger, string client, Exception exception);

    [LoggerMessage(3005, LogLevel.Warning, "NBD refuses {Client}: {Limit} connections are open")]
    public static partial void TooMany(ILogger logger, string client, int limit);

    [LoggerMessage(3006, LogLevel.Warning, "NBD accept failed, trying again in {Delay}: {Error}")]
    public static partial void AcceptFailed(ILogger logger, TimeSpan delay, string error);

    [LoggerMessage(3008, LogLevel.Information, "NBD client {Client}: {Option} of {Export} is refused: {Reason}")]
    public static partial void ExportRefused(ILogger logger, string client, Protocol.NbdOption option, string export, string reason);

    [LoggerMessage(3007, LogLevel.Critical, "An invariant broke in a session of NBD client {Client}; the node must stop")]
    public static partial void InvariantBroken(ILogger logger, string client, Exception exception);
}
