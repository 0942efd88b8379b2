using System.Net;

namespace RaftMirror.Consensus.Transport;

/// <summary>Addresses that nodes listen on for each other. Off the loopback interface only with mutual TLS.</summary>
public static class PeerAddress
{
    /// <summary>Parses HOST:PORT and refuses what is not on the loopback interface.</summary>
    /// <exception cref="ArgumentException">Not an address, or off the host.</exception>
    public static IPEndPoint ParseLoopback(string address) => Parse(address, isOffHostAllowed: false);

    /// <summary>Parses HOST:PORT.</summary>
    /// <param name="address">HOST is an IP address or "localhost".</param>
    /// <param name="isOffHostAllowed">With mutual TLS only: else anyone could take part.</param>
    /// <exception cref="ArgumentException">Not an address, or off the host and not allowed to be.</exception>
    public static IPEndPoint Parse(string address, bool isOffHostAllowed)
    {
        ArgumentNullException.ThrowIfNull(address);
        var text = address.StartsWith("localhost:", StringComparison.Ordinal) ? "127.0.0.1" + address["localhost".Length..] : address;
        if (!IPEndPoint.TryParse(text, out var endpoint) || endpoint.Port == 0 || !text.Contains(':', StringComparison.Ordinal))
            throw new ArgumentException($"\"{address}\" is no HOST:PORT with an IP address or localhost.", nameof(address));
        if (!isOffHostAllowed) RequireLoopback(endpoint);
        return endpoint;
    }

    internal static void RequireLoopback(IPEndPoint endpoint)
    {
        if (!IPAddress.IsLoopback(endpoint.Address))
            throw new ArgumentException($"{endpoint} is off this host; without mutual TLS only loopback addresses are allowed.");
    }
}
