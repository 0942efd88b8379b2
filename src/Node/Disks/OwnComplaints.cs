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

    /// <summary>Says it once: a detail that changes would be an entry of the log each time.</summary>
    public async Task AddAsync(DiskComplaint complaint)
    {
        var told = Told;
        if (told.All(other => other.Disk != complaint.Disk)) await ReportAsync([.. told, complaint]);
    }

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
