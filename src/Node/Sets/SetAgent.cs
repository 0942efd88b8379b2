using RaftMirror.ControlPlane.Model;
using RaftMirror.DataPlane.Leases.Core;
using RaftMirror.DataPlane.Mirroring.Core;
using RaftMirror.DataPlane.Mirroring.Shell;
using RaftMirror.Node.State;

namespace RaftMirror.Node.Sets;

/// <summary>One disk set on this node: its data plane, fed with the states that concern it. Enactor thread unless said otherwise.</summary>
internal sealed class SetAgent(
    string set, NodeIdentity self, DataPlanePorts ports, MirrorOptions options, TransferSpans spans, ulong spentGeneration) : IAsyncDisposable
{
    private readonly DataPlaneSet _dataPlane = new(self.Name, self.Incarnation, ports, options, spentGeneration);
    private SetState? _last;
    private ulong _lastEpoch;
    private ulong _lastMembers;

    /// <summary>Its name.</summary>
    public string Set { get; } = set;

    /// <summary>Exports and figures. Any thread.</summary>
    public DataPlaneSet DataPlane => _dataPlane;

    /// <summary>Takes over what a state says of the set.</summary>
    public void Enact(ClusterState cluster, SetState state)
    {
        // A set's configuration also shows its nodes' states, and these change with the cluster, not with the set.
        var members = MembersStamp(cluster, state);
        if (!ReferenceEquals(state, _last) || cluster.MembershipEpoch != _lastEpoch || members != _lastMembers)
        {
            spans.Follow(_last, state);
            _dataPlane.Enact(SetConfigurationMapper.Map(cluster, state, self.Name, self.Incarnation));
            (_last, _lastEpoch, _lastMembers) = (state, cluster.MembershipEpoch, members);
        }

        _dataPlane.EnactedUpTo(cluster.Index);
    }

    /// <summary>Hands on a lease. Any thread.</summary>
    public void Granted(LeaseGrant grant) => _dataPlane.LeaseGranted(grant);

    /// <summary>Hands on a message. Any thread.</summary>
    public void Receive(string from, ReadOnlyMemory<byte> payload) => _dataPlane.Receive(from, payload);

    /// <summary>Drains and closes; true only if nothing is left that would have to be merged. Any thread, any number of times. It is to be fed
    /// until it is disposed.</summary>
    public Task<bool> EndAsync() => _dataPlane.EndAsync();

    /// <inheritdoc/>
    public ValueTask DisposeAsync() => _dataPlane.DisposeAsync();

    private static ulong MembersStamp(ClusterState cluster, SetState state)
    {
        ulong newest = 0;
        foreach (var name in state.Members.Keys)
        {
            if (cluster.Node(name) is not { } node) continue;
            newest = Math.Max(newest, Math.Max(node.SinceIndex, node.Predecessor?.SinceIndex ?? 0));
        }

        return newest;
    }
}
