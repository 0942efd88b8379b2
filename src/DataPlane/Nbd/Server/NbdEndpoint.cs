using System.Diagnostics.CodeAnalysis;
using System.Globalization;
using System.Net;

namespace RaftMirror.DataPlane.Nbd.Server;

/// <summary>Where NBD clients connect: a loopback TCP address or a Unix socket. Clients off the host are refused at
/// configuration, because nothing would authenticate them: mutual TLS does not exist yet.</summary>
public sealed class NbdEndpoint
{
    private const string UnixPrefix = "unix:";

    // sun_path of sockaddr_un, with its terminating NUL.
    private const int MaxUnixPathBytes = 107;

    private NbdEndpoint(IPEndPoint? tcp, string? unixPath)
    {
        Tcp = tcp;
        UnixPath = unixPath;
    }

    /// <summary>The TCP address, or null; port 0 asks for any free port.</summary>
    public IPEndPoint? Tcp { get; }

    /// <summary>The path of the Unix socket, or null.</summary>
    public string? UnixPath { get; }

    /// <summary>Reads "127.0.0.1:10809", "[::1]:10809", "localhost:10809" or "unix:/run/raftmirror/nbd.sock".</summary>
    /// <param name="text">What the user wrote.</param>
    /// <param name="endpoint">The endpoint, if the result is true.</param>
    /// <param name="error">What is wrong with it, for people, if the result is false.</param>
    public static bool TryParse(
        string text,
        [NotNullWhen(true)] out NbdEndpoint? endpoint,
        [NotNullWhen(false)] out string? error)
    {
        endpoint = null;
        if (text.StartsWith(UnixPrefix, StringComparison.Ordinal)) return TryParseUnix(text, out endpoint, out error);

        var colon = text.LastIndexOf(':');
        if (colon <= 0 || !ushort.TryParse(text.AsSpan(colon + 1), NumberStyles.None, CultureInfo.InvariantCulture, out var port))
        {
            error = $"'{text}' is no NBD endpoint: write ADDRESS:PORT or unix:PATH";
            return false;
        }

        var host = text[..colon];
        var address = IPAddress.Loopback;
        if (host != "localhost" && !IPAddress.TryParse(host.Trim('[', ']'), out address))
        {
            error = $"'{host}' is no IP address; NBD listens on 127.0.0.1, [::1] or a Unix socket";
            return false;
        }

        if (!IPAddress.IsLoopback(address))
        {
            error = $"NBD does not listen on {address}: it is not loopback, and without mutual TLS nothing would "
                + "authenticate clients of other hosts; use 127.0.0.1, [::1] or unix:PATH";
            return false;
        }

        endpoint = new NbdEndpoint(new IPEndPoint(address, port), null);
        error = null;
        return true;
    }

    /// <summary>As <see cref="TryParse"/>.</summary>
    /// <exception cref="FormatException">The text is no endpoint, or one off the host; the message says which.</exception>
    public static NbdEndpoint Parse(string text) =>
        TryParse(text, out var endpoint, out var error) ? endpoint : throw new FormatException(error);

    /// <summary>The form that <see cref="TryParse"/> reads.</summary>
    public override string ToString() => Tcp?.ToString() ?? UnixPrefix + UnixPath;

    internal static NbdEndpoint Bound(IPEndPoint tcp) => new(tcp, null);

    private static bool TryParseUnix(
        string text,
        [NotNullWhen(true)] out NbdEndpoint? endpoint,
        [NotNullWhen(false)] out string? error)
    {
        endpoint = null;
        var path = text[UnixPrefix.Length..];
        if (path.Length == 0 || path.Contains('\0', StringComparison.Ordinal))
        {
            error = "unix: needs the path of a socket";
            return false;
        }

        if (System.Text.Encoding.UTF8.GetByteCount(path) > MaxUnixPathBytes)
        {
            error = $"the socket path is longer than the {MaxUnixPathBytes} bytes that Unix sockets allow: {path}";
            return false;
        }

        endpoint = new NbdEndpoint(null, path);
        error = null;
        return true;
    }
}
