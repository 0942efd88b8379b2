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

    [LoggerMessage(3009, LogLevel.Information, "NBD client {Client} of {Export} was disconnected: {Reason}")]
    public static partial void Dropped(ILogger logger, string client, string? export, string reason);

    [LoggerMessage(3003, LogLevel.Error, "A request of NBD client {Client} of {Export} threw; its outcome is unknown, so the connection is dropped")]
    public static partial void RequestThrew(ILogger logger, string client, string? export, Exception exception);

    [LoggerMessage(3004, LogLevel.Error, "NBD connection of {Client} failed")]
    public static partial void ConnectionFailed(ILogger logger, string client, Exception exception);

    [LoggerMessage(3005, LogLevel.Warning, "NBD on {Endpoint} turns clients away: {Reason}. It goes on trying, and says when that is over")]
    public static partial void RefusesSome(ILogger logger, string endpoint, string reason);

    [LoggerMessage(3006, LogLevel.Information, "NBD on {Endpoint} takes everybody in again; {Count} were turned away since {Since:O}")]
    public static partial void AcceptsAgain(ILogger logger, string endpoint, long count, DateTimeOffset since);

    [LoggerMessage(3008, LogLevel.Information, "NBD client {Client}: {Option} of {Export} is refused: {Reason}")]
    public static partial void ExportRefused(ILogger logger, string client, Protocol.NbdOption option, string export, string reason);

    [LoggerMessage(3007, LogLevel.Critical, "An invariant broke in a session of NBD client {Client}; the node must stop")]
    public static partial void InvariantBroken(ILogger logger, string client, Exception exception);
}
