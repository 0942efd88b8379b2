using System.Net;
using System.Net.Sockets;

namespace RaftMirror.DataPlane.Nbd.Server;

/// <summary>A listening socket; for a Unix socket also its file, which is removed at the end.</summary>
internal sealed class NbdListener : IDisposable
{
    private const int Backlog = 128;

    private NbdListener(Socket socket, NbdEndpoint endpoint)
    {
        Socket = socket;
        Endpoint = endpoint;
    }

    public Socket Socket { get; }

    /// <summary>With the actual port.</summary>
    public NbdEndpoint Endpoint { get; }

    /// <summary>Binds and listens.</summary>
    /// <exception cref="IOException">With a message for people.</exception>
    public static NbdListener Open(NbdEndpoint endpoint)
    {
        try
        {
            return endpoint.UnixPath is { } path ? OpenUnix(endpoint, path) : OpenTcp(endpoint.Tcp!);
        }
        catch (SocketException exception)
        {
            throw new IOException($"NBD cannot listen on {endpoint}: {exception.Message}", exception);
        }
    }

    public void Dispose()
    {
        Socket.Dispose();
        if (Endpoint.UnixPath is { } path) File.Delete(path);
    }

    private static NbdListener OpenTcp(IPEndPoint address)
    {
        var socket = new Socket(address.AddressFamily, SocketType.Stream, ProtocolType.Tcp);
        try
        {
            socket.Bind(address);
            SocketCalls.TryStampReceives(socket.SafeHandle); // The kernel begins a little later: before the first client.
            socket.Listen(Backlog);
            return new NbdListener(socket, NbdEndpoint.Bound((IPEndPoint)socket.LocalEndPoint!));
        }
        catch
        {
            socket.Dispose();
            throw;
        }
    }

    private static NbdListener OpenUnix(NbdEndpoint endpoint, string path)
    {
        RemoveStale(path);
        var socket = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        try
        {
            socket.Bind(new UnixDomainSocketEndPoint(path));

            // Nobody can connect before Listen, so there is no moment at which others could.
            SocketCalls.SetOwnerOnly(path);
            socket.Listen(Backlog);
            return new NbdListener(socket, endpoint);
        }
        catch
        {
            socket.Dispose();
            throw;
        }
    }

    /// <summary>Removes the socket file of a process that was killed; leaves a live one and anything else alone.</summary>
    private static void RemoveStale(string path)
    {
        using var probe = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        try
        {
            probe.Connect(new UnixDomainSocketEndPoint(path));
        }
        catch (SocketException exception) when (exception.SocketErrorCode == SocketError.ConnectionRefused)
        {
            // ECONNREFUSED also means "not a socket": only an empty special file may go.
            if (!IsSocket(path)) throw new IOException($"NBD cannot listen on {path}: a file that is no socket is there");
            File.Delete(path);
            return;
        }
        catch (SocketException exception) when (exception.SocketErrorCode is SocketError.AddressNotAvailable
            or SocketError.HostNotFound || !Path.Exists(path))
        {
            return;
        }

        throw new IOException($"NBD cannot listen on {path}: another process serves it");
    }

    /// <summary>The framework does not tell socket files apart, but open(2) does: ENXIO, for them alone.</summary>
    private static bool IsSocket(string path) => new FileInfo(path) is { Exists: true, Length: 0 } && !CanOpen(path);

    private static bool CanOpen(string path)
    {
        try
        {
            using var file = File.OpenHandle(path);
            return true;
        }
        catch (IOException)
        {
            return false;
        }
    }
}
