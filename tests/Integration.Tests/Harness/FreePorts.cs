using System.Net;
using System.Net.Sockets;

namespace RaftMirror.Integration.Tests.Harness;

/// <summary>Loopback ports that nobody listens on.</summary>
internal static class FreePorts
{
    /// <summary>Lets the system choose, all at once so that they differ, and gives them back. Somebody else may take one
    /// before it is used: the caller tries again then.</summary>
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
