using System.Globalization;
using System.Net;

namespace RaftMirror.Contracts;

/// <summary>An address to listen on or connect to. Until nodes authenticate each other by mutual TLS, only loopback
/// is accepted: a listener that others can reach would let anyone write to the disks.</summary>
/// <param name="Address">IPv4 or IPv6.</param>
/// <param name="Port">0 (chosen by the system) to 65535.</param>
internal readonly record struct HostPort(IPAddress Address, int Port)
{
    public IPEndPoint ToEndPoint() => new(Address, Port);

    public override string ToString() => new IPEndPoint(Address, Port).ToString();

    /// <summary>Parses HOST:PORT, where HOST is an address (IPv6 in brackets) or "localhost".</summary>
    /// <returns>Null if done, else what is wrong.</returns>
    public static string? TryParse(string text, out HostPort result)
    {
        result = default;
        var colon = text.LastIndexOf(':');
        if (colon <= 0) return $"'{text}' is not HOST:PORT.";
        var host = text[..colon];
        if (!int.TryParse(text.AsSpan(colon + 1), NumberStyles.None, CultureInfo.InvariantCulture, out var port) || port > 65535)
            return $"'{text}': the port must be a number from 0 to 65535.";
        IPAddress? address;
        if (host == "localhost") address = IPAddress.Loopback;
        else if (host.StartsWith('[') && host.EndsWith(']')) _ = IPAddress.TryParse(host[1..^1], out address);
        else if (host.Contains(':')) return $"'{text}': write an IPv6 address in brackets, [::1]:PORT.";
        else _ = IPAddress.TryParse(host, out address);
        if (address is null) return $"'{text}': '{host}' is not an IP address or 'localhost'.";
        result = new HostPort(address, port);
        return null;
    }

    /// <summary>As <see cref="TryParse"/>, and refuses what is not loopback.</summary>
    public static string? TryParseLoopback(string text, out HostPort result)
    {
        if (TryParse(text, out result) is { } error) return error;
        return IPAddress.IsLoopback(result.Address)
            ? null
            : $"'{text}' is not a loopback address. Listening off the host is refused until nodes and clients authenticate "
              + "each other by mutual TLS, which this version does not have; use 127.0.0.1 or a Unix socket.";
    }
}
