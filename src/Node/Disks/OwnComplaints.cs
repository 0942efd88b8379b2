using System.Collections.Immutable;
using RaftMirror.Contracts;
using RaftMirror.ControlPlane.Commands;
using RaftMirror.ControlPlane.Model;
using RaftMirror.Node.State;

namespace RaftMirror.Node.Disks;

/// <summary>What this incarnation says of the disks of a set that it cannot use. Any thread; whoever is overtaken by another says it again.</summary>
internal sealed class OwnComplaints(
    string set, NodeIdentity self, StateFeed feed, Func<CommandBody, string?, CancellationToken, Task<ApiResult>> submit, CancellationToken stopping)
{
    /// <summary>As committed.</summary>
    public ImmutableArray<DiskComplaint> Told =>
        feed.Current.Set(set)?.Members.GetValueOrDefault(self.Name) is { } member && member.DisksBy == self.Incarnation ? member.Disks : [];

    /// <summary>Says it once: a detail that changes would be an entry of the log each time. That calls hang takes the place of that they fail: should
    /// this node be fenced, the disk is lost for what hangs on it, and for nothing else (design §14.5).</summary>
    /// <returns>True if it was said.</returns>
    public async Task<bool> AddAsync(DiskComplaint complaint)
    {
        var told = Told;
        var known = told.FirstOrDefault(other => other.Disk == complaint.Disk);
        if (known is not null && (known.Reason != DiskLossReason.FailsHere || complaint.Reason != DiskLossReason.TimedOut)) return false;
        await ReportAsync([.. told.Where(other => other.Disk != complaint.Disk), complaint]);
        return true;
    }

    /// <summary>True if this is told of a disk, for this reason.</summary>
    public bool Has(string disk, DiskLossReason reason) => Told.Any(complaint => complaint.Disk == disk && complaint.Reason == reason);

    /// <summary>Takes it back.</summary>
    /// <returns>False if there was nothing to take back.</returns>
    public async Task<bool> RemoveAsync(string disk, DiskLossReason reason)
    {
        var told = Told;
        var others = told.Where(complaint => complaint.Disk != disk || complaint.Reason != reason).ToImmutableArray();
        if (others.Length == told.Length) return false;
        await ReportAsync(others);
        return true;
    }

    private async Task ReportAsync(ImmutableArray<DiskComplaint> complaints) =>
        await submit(new ReportDisks(set, self.Name, self.Incarnation, complaints), null, stopping);
}
