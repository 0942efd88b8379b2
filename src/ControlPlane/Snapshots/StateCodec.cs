using System.Collections.Immutable;
using System.Security.Cryptography;
using System.Text.Json;
using RaftMirror.ControlPlane.Model;

namespace RaftMirror.ControlPlane.Snapshots;

/// <summary>Canonical JSON of the state: equal states give equal bytes. Pure, any thread.</summary>
public static class StateCodec
{
    private const int Schema = 1;

    /// <summary>The whole state.</summary>
    public static byte[] Encode(ClusterState state) => JsonSerializer.SerializeToUtf8Bytes(
        new StateSnapshot(
            Schema, state.Name, state.Id, state.Index, state.LogTimeMs, state.MembershipEpoch, state.NextBarrierId, state.ChainHash,
            state.Nodes, state.Sets, state.Requests.RefusedBeforeMs, [.. state.Requests.Records]),
        ControlPlaneJson.Contract.GetTypeInfo(typeof(StateSnapshot)));

    /// <summary>Reads what <see cref="Encode"/> wrote.</summary>
    /// <exception cref="JsonException">It is something else.</exception>
    public static ClusterState Decode(ReadOnlySpan<byte> json)
    {
        var snapshot = (StateSnapshot?)JsonSerializer.Deserialize(json, ControlPlaneJson.Contract.GetTypeInfo(typeof(StateSnapshot)));
        if (snapshot is not { Schema: Schema }) throw new JsonException("No state snapshot of schema 1.");
        return new ClusterState(
            snapshot.Name, snapshot.Id, snapshot.Index, snapshot.LogTimeMs, snapshot.MembershipEpoch, snapshot.NextBarrierId,
            snapshot.ChainHash, snapshot.Nodes, snapshot.Sets, RequestTable.Restore(snapshot.RequestFloorMs, snapshot.Requests));
    }

    /// <summary>One set, for the set records on its disks.</summary>
    public static byte[] EncodeSet(SetState set) =>
        JsonSerializer.SerializeToUtf8Bytes(set, ControlPlaneJson.Contract.GetTypeInfo(typeof(SetState)));

    /// <summary>Reads what <see cref="EncodeSet"/> wrote.</summary>
    /// <exception cref="JsonException">It is something else.</exception>
    public static SetState DecodeSet(ReadOnlySpan<byte> json) =>
        (SetState?)JsonSerializer.Deserialize(json, ControlPlaneJson.Contract.GetTypeInfo(typeof(SetState)))
        ?? throw new JsonException("No disk set.");

    /// <summary>SHA-256, hex, of the canonical JSON.</summary>
    public static string Hash(ClusterState state) => Convert.ToHexStringLower(SHA256.HashData(Encode(state)));
}

/// <summary>The state as it is written.</summary>
internal sealed record StateSnapshot(
    int Schema,
    string Name,
    Guid Id,
    ulong Index,
    long LogTimeMs,
    ulong MembershipEpoch,
    ulong NextBarrierId,
    string ChainHash,
    ImmutableSortedDictionary<string, NodeState> Nodes,
    ImmutableSortedDictionary<string, SetState> Sets,
    long RequestFloorMs,
    ImmutableArray<RequestRecord> Requests);
