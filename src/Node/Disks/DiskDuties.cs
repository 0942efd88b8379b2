using System.Collections.Concurrent;
using System.Collections.Immutable;
using Microsoft.Extensions.Logging;
using RaftMirror.Contracts;
using RaftMirror.ControlPlane.Commands;
using RaftMirror.ControlPlane.Model;
using RaftMirror.DataPlane.DiskIo;
using RaftMirror.DataPlane.Metadata;
using RaftMirror.DataPlane.Mirroring.Shell;
using RaftMirror.Node.State;
using DiskStatus = RaftMirror.ControlPlane.Model.DiskStatus;

namespace RaftMirror.Node.Disks;

/// <summary>What a node that serves a set does about disks that are missing (design §14.21): it looks at those that it does not use and tells
/// what it finds; the one on duty gives up what no member sees, and takes back what all see again. The duty runner's thread.</summary>
internal sealed partial class DiskDuties(
    NodeIdentity self,
    StateFeed feed,
    NodeDisks disks,
    Func<string, DataPlaneSet?> dataPlane,
    Action<string, string> lookAgain,
    Func<CommandBody, CancellationToken, Task<ApiResult>> submit,
    ILogger logger)
{
    /// <summary>How long a disk that nobody sees is kept for members that are down or have not looked: they may see it.</summary>
    public static readonly TimeSpan WaitForOthers = TimeSpan.FromSeconds(5);

    private static readonly TimeSpan LookEvery = TimeSpan.FromSeconds(2);
    private readonly ConcurrentDictionary<string, long> _lookedMs = new(StringComparer.Ordinal);
    private readonly Dictionary<string, long> _missedSinceMs = new(StringComparer.Ordinal);

    /// <summary>What is to be done now.</summary>
    /// <param name="state">Applied state.</param>
    /// <param name="set">A set that this incarnation has joined.</param>
    /// <param name="member">This node in it.</param>
    public IEnumerable<(string Key, Func<CancellationToken, Task<ApiResult?>> Duty)> Due(ClusterState state, SetState set, MemberState member)
    {
        if (IsLookDue(set, member)) yield return ($"look at the disks of {set.Name}", token => LookAsync(set.Name, token));
        if (Duties.SetDuty(state, set)?.Name != self.Name) yield break;
        foreach (var disk in DiskLossRules.ToLose(state, set, HasWaited(state, set)))
            yield return ($"lose {set.Name}/{disk}", token => LoseAsync(set.Name, disk, token));
        foreach (var disk in set.Disks.Values)
        {
            if (DiskLossRules.MayReturn(state, set, disk)) yield return ($"return {set.Name}/{disk.Name}", token => ReturnAsync(set.Name, disk.Name, token));
        }
    }

    private bool IsLookDue(SetState set, MemberState member)
    {
        var isAnyMissing = set.Disks.Values.Any(disk => disk.Status == DiskStatus.Lost
            || (Stamps.IsInUse(set, disk) && disks.Find(set.Name, disk.Id) is null));
        if (!isAnyMissing && member.DisksBy == self.Incarnation && member.Disks.IsEmpty) return false;
        return Environment.TickCount64 - _lookedMs.GetValueOrDefault(set.Name, long.MinValue / 2) >= LookEvery.TotalMilliseconds;
    }

    /// <summary>True if some disk in use has been seen by nobody who spoke for so long that nobody else is waited for.</summary>
    private bool HasWaited(ClusterState state, SetState set)
    {
        if (DiskLossRules.ToLose(state, set, hasWaited: true).IsEmpty)
        {
            _missedSinceMs.Remove(set.Name);
            return false;
        }

        if (!_missedSinceMs.TryGetValue(set.Name, out var since)) _missedSinceMs[set.Name] = since = Environment.TickCount64;
        return Environment.TickCount64 - since >= WaitForOthers.TotalMilliseconds;
    }

    private async Task<ApiResult?> LookAsync(string setName, CancellationToken cancellationToken)
    {
        var verdicts = await disks.LookAsync(setName, cancellationToken);
        _lookedMs[setName] = Environment.TickCount64;
        if (feed.Current.Set(setName)?.Members.GetValueOrDefault(self.Name) is not { } member) return null;
        var figures = dataPlane(setName)?.DiskStatistics();
        foreach (var told in member.Disks)
        {
            if (member.DisksBy == self.Incarnation && told.Reason == DiskLossReason.FailsHere) lookAgain(setName, told.Disk);
        }

        var complaints = ToTell(member.DisksBy == self.Incarnation ? member.Disks : [], verdicts, figures);
        if (member.DisksBy == self.Incarnation && member.Disks.SequenceEqual(complaints)) return null;
        foreach (var complaint in complaints.Except(member.Disks)) LogMissing(logger, setName, complaint.Disk, complaint.Detail);
        return await submit(new ReportDisks(setName, self.Name, self.Incarnation, complaints), cancellationToken);
    }

    /// <summary>What this node says of its disks after a look.</summary>
    /// <param name="told">As committed, of this incarnation.</param>
    /// <param name="verdicts">Of the look, by disk.</param>
    /// <param name="figures">Of the present data plane; null if there is none.</param>
    internal static ImmutableArray<DiskComplaint> ToTell(
        ImmutableArray<DiskComplaint> told, IReadOnlyDictionary<string, DiskVerdict> verdicts, IReadOnlyList<DiskStatistics>? figures)
    {
        var standing = told.Where(known => verdicts.GetValueOrDefault(known.Disk) is { } verdict && Stands(known, verdict, figures)).ToList();
        return
        [
            .. StateWords.Complaints(verdicts).Where(found => standing.TrueForAll(known => known.Disk != found.Disk)).Concat(standing)
                .OrderBy(static complaint => complaint.Disk, StringComparer.Ordinal),
        ];
    }

    /// <summary>A disk that fails here and gives a look no answer may be busy with the trial that is to take the word back.</summary>
    private static bool Stands(DiskComplaint told, DiskVerdict verdict, IReadOnlyList<DiskStatistics>? figures) =>
        (verdict.IsUsable && StandsThoughUsable(told, figures))
        || (verdict.Finding == DiskFinding.Silent && told.Reason == DiskLossReason.FailsHere);

    /// <summary>Whether what this node told of a disk stands although the disk looks well. One that is open and hangs or fails is the data plane's to tell;
    /// but the data plane that told of a hanging call may have ended since, or its word that the call came back was overtaken by the complaint. So nothing
    /// stands against a disk on which nothing hangs now.</summary>
    /// <param name="told">As committed.</param>
    /// <param name="figures">Of the present data plane; null if there is none.</param>
    internal static bool StandsThoughUsable(DiskComplaint told, IReadOnlyList<DiskStatistics>? figures) => told.Reason switch
    {
        DiskLossReason.FailsHere => true, // LegFailures asks the disk until it works.
        DiskLossReason.TimedOut => figures is null || figures.Any(disk => disk.Disk == told.Disk && !disk.IsFine),
        _ => false,
    };

    private async Task<ApiResult?> LoseAsync(string setName, string disk, CancellationToken cancellationToken)
    {
        var state = feed.Current;
        if (state.Set(setName) is not { } set) return null;
        var told = set.Members.Values.Where(member => state.Node(member.Node) is { IsLive: true } node && member.DisksBy == node.Incarnation)
            .Select(member => (member.Node, Complaint: member.ComplaintOf(disk, member.DisksBy)))
            .Where(static one => one.Complaint is not null).ToList();
        if (told.Count == 0) return null;
        var reasons = told.Select(static one => one.Complaint!.Reason).Distinct().ToList();
        var detail = string.Join("; ", told.Select(static one => $"{one.Node}: {one.Complaint!.Detail}"));
        return await submit(
            new LoseDisk(
                setName, disk, reasons.Count == 1 ? reasons[0] : DiskLossReason.Unreachable, detail.Length <= 1024 ? detail : detail[..1024],
                self.Name, self.Incarnation, Joined(state, set)),
            cancellationToken);
    }

    /// <summary>The disk that this node has open is the disk no more: it was cut, or written over, under those who use it. All were proven to see
    /// the same one, so that what one reads there all would read.</summary>
    public async Task<ApiResult?> LoseChangedAsync(string setName, string disk, DiskVerdict verdict, CancellationToken cancellationToken)
    {
        var state = feed.Current;
        if (state.Set(setName) is not { } set) return null;
        var complaint = StateWords.Complaint(disk, verdict);
        return await submit(
            new LoseDisk(setName, disk, complaint.Reason, complaint.Detail, self.Name, self.Incarnation, Joined(state, set)), cancellationToken);
    }

    /// <summary>What the disk is owed follows from its label: as it left, what was kept for it; an older copy, or cut meanwhile, everything;
    /// anything else is not the disk, and stays out. Every node that serves the set must see this very one.</summary>
    private async Task<ApiResult?> ReturnAsync(string setName, string diskName, CancellationToken cancellationToken)
    {
        var state = await disks.CommittedAsync(cancellationToken);
        if (state.Set(setName) is not { } set || set.Disks.GetValueOrDefault(diskName) is not { Status: DiskStatus.Lost } disk) return null;
        var (verdict, isProven) = await disks.JudgeAsync(state, set, disk, mustProve: true, cancellationToken);
        if (!isProven) return null;
        var isRefill = verdict.MayBeRefilled || DiskLossRules.NeedsRefill(set, diskName);
        if (isRefill && DiskLossRules.HoldsOnlySource(set, diskName)) return null;
        return await submit(
            new ReturnDisk(setName, diskName, isRefill, Why(verdict, isRefill), self.Name, self.Incarnation, Joined(state, set)), cancellationToken);
    }

    private static string Why(DiskVerdict verdict, bool isRefill) => verdict.Finding switch
    {
        DiskFinding.Older => $"it is an older copy of the disk (stamp {verdict.Stamp.Number}): all data is copied to it anew",
        DiskFinding.Resized => "it was cut and is large enough again: all data is copied to it anew",
        _ when isRefill => "a node found it old: all data is copied to it anew",
        _ => "its label is the one that it had when it was lost",
    };

    private static ImmutableSortedDictionary<string, ulong> Joined(ClusterState state, SetState set) => set.Members.Values
        .Where(member => state.Node(member.Node) is { } node && Duties.IsJoined(node, member))
        .ToImmutableSortedDictionary(static member => member.Node, static member => member.JoinedIncarnation, StringComparer.Ordinal);

    [LoggerMessage(3520, LogLevel.Warning, "Set {Set}: this node goes on without disk {Disk}: {Detail}")]
    private static partial void LogMissing(ILogger logger, string set, string disk, string detail);
}
