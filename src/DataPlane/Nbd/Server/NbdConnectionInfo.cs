namespace RaftMirror.DataPlane.Nbd.Server;

/// <summary>One client of an export at one moment.</summary>
/// <param name="Export">The export's name; null while the client is still in the handshake.</param>
/// <param name="Client">Its address, or for a Unix socket process and user.</param>
/// <param name="Since">When it connected.</param>
/// <param name="Requests">Requests taken so far, refused ones included.</param>
/// <param name="Errors">Of these, answered with an error.</param>
/// <param name="InFlight">Requests taken and not yet answered.</param>
/// <param name="ReadBytes">Bytes read by the client.</param>
/// <param name="WrittenBytes">Bytes of acknowledged writes.</param>
public sealed record NbdConnectionInfo(
    string? Export,
    string Client,
    DateTimeOffset Since,
    long Requests,
    long Errors,
    int InFlight,
    long ReadBytes,
    long WrittenBytes);
