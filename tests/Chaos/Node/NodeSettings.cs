using System.Globalization;
using RaftMirror.Consensus.Model;

namespace RaftMirror.Chaos.Node;

/// <summary>Which bug a node has, so that the harness can show that it finds it.</summary>
public enum Bug
{
    None,

    /// <summary>Reads answer from the local state without a barrier.</summary>
    StaleReads,

    /// <summary>Commands are answered when they are proposed, by what the local state makes of them.</summary>
    EarlyAcknowledgement,

    /// <summary>A command that comes twice is executed twice.</summary>
    NoSessions,
}

/// <summary>`node DIRECTORY ID LEASES BUG ADDRESS…`: the command line of a node.</summary>
/// <param name="Directory">Its files.</param>
/// <param name="Self">1 and up.</param>
/// <param name="LeaseReads">Barriers may be answered from leases.</param>
/// <param name="Bug">None, or what is wrong with it.</param>
/// <param name="Addresses">HOST:PORT by which the others reach node 1, 2, …: of the proxy.</param>
internal sealed record NodeSettings(string Directory, ushort Self, bool LeaseReads, Bug Bug, IReadOnlyList<string> Addresses)
{
    public static NodeSettings Parse(string[] args) => new(
        args[1], ushort.Parse(args[2], CultureInfo.InvariantCulture), bool.Parse(args[3]), Enum.Parse<Bug>(args[4]), args[5..]);

    public string[] ToArguments() =>
        ["node", Directory, Self.ToString(CultureInfo.InvariantCulture), LeaseReads.ToString(), Bug.ToString(), .. Addresses];

    public Dictionary<NodeId, string> Members() =>
        Addresses.Select((address, i) => (Id: new NodeId((ushort)(i + 1)), address)).ToDictionary(member => member.Id, member => member.address);
}
