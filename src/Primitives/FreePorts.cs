using System.Globalization;
using System.Net;
using System.Net.Sockets;

namespace RaftMirror.Primitives;

/// <summary>Loopback ports that nobody listens on, for clusters whose nodes must know each other before they start. Any thread.</summary>
public static class FreePorts
{
    private const int Lowest = 10_000;
    private const int FirstEphemeralByDefault = 32_768;
    private const string Range = "/proc/sys/net/ipv4/ip_local_port_range";

    /// <summary>Chooses at random below the ports that the kernel gives to outgoing connections, so that a node which is down does not find its
    /// port taken by one of them. Another process that chooses may still take one before it is used: the caller tries again then.</summary>
    /// <param name="count">How many, all different.</param>
    /// <exception cref="SocketException">None of those tried was free.</exception>
    public static IReadOnlyList<int> Take(int count)
    {
        var first = FirstEphemeral();
        var (low, high) = first > 2 * Lowest ? (Lowest, first) : (Lowest, IPEndPoint.MaxPort);
        var taken = new HashSet<int>();
        for (var tries = 0; taken.Count < count; tries++)
        {
            var port = Random.Shared.Next(low, high);
            using var socket = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
            try
            {
                socket.Bind(new IPEndPoint(IPAddress.Loopback, port));
                taken.Add(port);
            }
            catch (SocketException) when (tries < 100 * count)
            {
                // Somebody listens there.
            }
        }

        return [.. taken];
    }

    private static int FirstEphemeral()
    {
        try
        {
            return int.Parse(File.ReadAllText(Range).Split('\t', ' ')[0], CultureInfo.InvariantCulture);
        }
        catch (Exception unreadable) when (unreadable is IOException or UnauthorizedAccessException or FormatException or OverflowException)
        {
            return FirstEphemeralByDefault;
        }
    }
}
