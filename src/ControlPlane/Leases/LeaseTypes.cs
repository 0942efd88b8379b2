using RaftMirror.ControlPlane.Commands;
using RaftMirror.ControlPlane.Model;

namespace RaftMirror.ControlPlane.Leases;

/// <summary>Times of the lease protocol, in ms (design §6).</summary>
/// <param name="LeaseMs">Length, counted by its holder from the send time of its request.</param>
/// <param name="RenewMs">How often a node asks.</param>
/// <param name="DriftPercent">Most by which two clocks' rates differ.</param>
/// <param name="WorstDeviceMs">Longest time a device may take to complete what was submitted by a node that serves no disk set; one that
/// does is given the longest device time-out of its sets, if that is longer.</param>
/// <param name="MarginMs">Safety margin.</param>
/// <param name="SuspectAfterMs">Silence after which a node is suspected.</param>
public sealed record LeaseOptions(
    long LeaseMs = 2000,
    long RenewMs = 500,
    int DriftPercent = 1,
    long WorstDeviceMs = 1000,
    long MarginMs = 500,
    long SuspectAfterMs = 1500)
{
    /// <summary>A node that serves and has not applied for so long what the others have is as good as silent: its leases are long over.</summary>
    public long FollowMs => 2 * LeaseMs;

    /// <summary>The lease on the slowest clock.</summary>
    public long LeaseWithDriftMs => LeaseMs + (((LeaseMs * DriftPercent) + 99) / 100);

    /// <summary>What must pass after the last grant before a holder that serves no disk set counts as gone.</summary>
    public long HorizonMs => LeaseWithDriftMs + WorstDeviceMs + MarginMs;

    /// <summary>What must pass after the last grant before a node counts as gone: its devices may take as long as their sets' device time-out.</summary>
    public long HorizonMsOf(ClusterState state, string node)
    {
        ArgumentNullException.ThrowIfNull(state);
        return LeaseWithDriftMs + WorstDeviceMsOf(state, node) + MarginMs;
    }

    /// <summary>Longest time that what the node submitted may take.</summary>
    public long WorstDeviceMsOf(ClusterState state, string node)
    {
        ArgumentNullException.ThrowIfNull(state);
        var worst = WorstDeviceMs;
        foreach (var set in state.Sets.Values)
        {
            if (set.Members.ContainsKey(node)) worst = Math.Max(worst, set.DeviceTimeoutMs);
        }

        return worst;
    }
}

/// <summary>The answer to a renewal: a grant, or a refusal.</summary>
/// <param name="IsGranted">Which.</param>
/// <param name="LengthMs">From the send time of the request; 0 if refused.</param>
/// <param name="MinIndex">The holder must have applied this much before it uses the lease.</param>
/// <param name="MembershipEpoch">To which the lease is bound.</param>
/// <param name="Incarnation">To which the lease is bound.</param>
/// <param name="HorizonMs">For status.</param>
/// <param name="Reason">Why not, if refused.</param>
public sealed record LeaseAnswer(
    bool IsGranted, long LengthMs, ulong MinIndex, ulong MembershipEpoch, ulong Incarnation, long HorizonMs, string? Reason);

/// <summary>A command that the leader should propose, in exactly this term (<c>expectedEpoch</c>).</summary>
/// <param name="Term">The leadership epoch.</param>
/// <param name="Body">The command.</param>
public sealed record LeaseProposal(ulong Term, CommandBody Body);
