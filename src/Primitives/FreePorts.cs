using System.Net;
using System.Net.Sockets;

namespace RaftMirror.Primitives;

/// <summary>Loopback ports that nobody listens on, for clusters whose nodes must know each other before they start. Any thread.</summary>
public static class FreePorts
{
    /// <summary>Lets the system choose, all at once so that they differ, and gives them back. Somebody else may take one
    /// before it is used: the caller tries again then.</summary>
    /// <param name="count">How many, all different.</param>
    /// <exception cref="SocketException">The system has none left.</exception>
    public static IReadOnlyList<int> Take(int count)
    {
        var listeners = new List<Socket>();
        try
        {
            for (var i = 0; i < count; i++)
            {
                var socket = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
                listeners.Add(socket);
                socket.Bind(new IPEndPoint(IPAddress.Loopback, 0));
            }

            return [.. listeners.Select(socket => ((IPEndPoint)socket.LocalEndPoint!).Port)];
        }
        finally
        {
            foreach (var socket in listeners) socket.Dispose();
        }
    }
}
