using System.Collections.Immutable;

namespace RaftMirror.ControlPlane.Model;

/// <summary>The replicated state at one log position. Immutable: any thread may read it. All maps are sorted with
/// <see cref="StringComparer.Ordinal"/>, so that no hash order and no culture decides anything.</summary>
/// <param name="Name">The cluster's name; empty before it was bootstrapped.</param>
/// <param name="Id">The cluster's id; all zero before it was bootstrapped.</param>
/// <param name="Index">Log position of the newest entry contained.</param>
/// <param name="LogTimeMs">The leaders' stamps made strictly monotone, unix ms: the only clock that decides anything. Only a correction
/// (<see cref="Commands.CorrectClock"/>) sets it back.</param>
/// <param name="MembershipEpoch">Grows whenever a node becomes live or stops being so.</param>
/// <param name="NextBarrierId">Given to the next barrier.</param>
/// <param name="ChainHash">SHA-256, hex, over (previous hash, position, command, result, events): equal on all nodes at equal index.</param>
/// <param name="Nodes">By name.</param>
/// <param name="Sets">By name.</param>
/// <param name="Requests">Results of the commands of the last 24 hours.</param>
public sealed record ClusterState(
    string Name,
    Guid Id,
    ulong Index,
    long LogTimeMs,
    ulong MembershipEpoch,
    ulong NextBarrierId,
    string ChainHash,
    ImmutableSortedDictionary<string, NodeState> Nodes,
    ImmutableSortedDictionary<string, SetState> Sets,
    RequestTable Requests)
{
    /// <summary>The state before the first command.</summary>
    public static ClusterState Empty { get; } = new(
        "", Guid.Empty, 0, 0, 0, 1, new string('0', 64), OrdinalMap.Empty<NodeState>(), OrdinalMap.Empty<SetState>(), RequestTable.Empty);

    /// <summary>False before the first <c>BootstrapCluster</c>.</summary>
    public bool IsBootstrapped => Id != Guid.Empty;

    /// <summary>The node, or null.</summary>
    public NodeState? Node(string name) => Nodes.GetValueOrDefault(name);

    /// <summary>The set, or null.</summary>
    public SetState? Set(string name) => Sets.GetValueOrDefault(name);

    /// <summary>The volume, or null.</summary>
    public VolumeState? Volume(string set, string volume) => Set(set)?.Volumes.GetValueOrDefault(volume);
}

/// <summary>Maps sorted by ordinal key.</summary>
public static class OrdinalMap
{
    /// <summary>The empty map.</summary>
    public static ImmutableSortedDictionary<string, TValue> Empty<TValue>() =>
        ImmutableSortedDictionary.Create<string, TValue>(StringComparer.Ordinal);
}
