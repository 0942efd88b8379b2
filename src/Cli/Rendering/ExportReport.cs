using System.Globalization;
using RaftMirror.Contracts;

namespace RaftMirror.Cli.Rendering;

/// <summary>How clients reach a volume.</summary>
/// <param name="Export">Its name: SET/VOLUME.</param>
/// <param name="Addresses">Every node of its set, each listener of it.</param>
/// <param name="ClientTimeoutMs">A client with connections to several nodes gives a request up no earlier than this after sending it.</param>
internal sealed record ExportReport(string Export, IReadOnlyList<ExportAddress> Addresses, long ClientTimeoutMs)
{
    /// <summary>What a client that has connections to several nodes must keep to (design §14.25).</summary>
    /// <param name="milliseconds">As the node says it: it is the node that holds writes back that long.</param>
    public static string TimeoutText(long milliseconds) =>
        string.Create(CultureInfo.InvariantCulture, $"at least {milliseconds} ms before a request is repeated on another standing connection");

    /// <summary>From a status that has the volume.</summary>
    public static ExportReport Of(StatusDocument document, string export)
    {
        var set = document.Disksets[0];
        var addresses = new List<ExportAddress>();
        foreach (var member in set.Nodes)
        {
            foreach (var listener in document.Nodes.FirstOrDefault(node => node.Name == member.Name)?.Nbd ?? [])
                addresses.Add(new ExportAddress(member.Name, member.Joined, UriOf(listener, export)));
        }

        return new ExportReport(export, addresses, set.Volumes[0].ClientTimeoutMs);
    }

    private static string UriOf(string listener, string export) => listener.StartsWith("unix:", StringComparison.Ordinal)
        ? $"nbd+unix:///{export}?socket={Uri.EscapeDataString(listener["unix:".Length..]).Replace("%2F", "/", StringComparison.Ordinal)}"
        : $"nbd://{listener}/{export}";
}

/// <param name="Node">Node.</param>
/// <param name="Joined">It serves the set now.</param>
/// <param name="Uri">For NBD clients.</param>
internal sealed record ExportAddress(string Node, bool Joined, string Uri);
