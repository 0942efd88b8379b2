using System.Collections.Concurrent;
using System.Collections.Immutable;
using System.Globalization;
using Microsoft.Extensions.Logging;
using RaftMirror.Cli.Api;
using RaftMirror.Consensus;
using RaftMirror.ControlPlane.Commands;
using RaftMirror.ControlPlane.Model;
using RaftMirror.DataPlane.Configuration;
using RaftMirror.DataPlane.DiskIo;
using RaftMirror.DataPlane.DiskIo.Core;
using RaftMirror.DataPlane.Mirroring;

namespace RaftMirror.Cli.Daemon;

/// <summary>What the watch over a set's disks asks and finds, as requests to the other nodes and as commands. What is under way for a
/// disk is not begun again; the watch repeats what had no effect. Any thread; returns at once.</summary>
internal sealed partial class DiskReports(
    string set,
    NodeIdentity self,
    StateFeed feed,
    PeerClient peers,
    Func<DataPlaneSet?> dataPlane,
    Func<CommandBody, string?, CancellationToken, Task<ApiResult>> submit,
    ILogger logger,
    CancellationToken stopping) : IDiskReports
{
    private static readonly TimeSpan AskLimit = TimeSpan.FromSeconds(2);
    private readonly ConcurrentDictionary<string, bool> _underWay = new(StringComparer.Ordinal);

    /// <inheritdoc/>
    public void Ask(string node, string disk, ulong question) => Run($"ask {node} {disk}", async () =>
    {
        var answer = await AskAsync(node, disk);
        LogAnswer(logger, set, disk, node, answer.ToString());
        if (answer != DiskAnswer.Unknown) dataPlane()?.DiskAnswered(disk, question, node, answer);
    });

    /// <inheritdoc/>
    public void Hangs(DiskHang hang) => Run($"hangs {hang.Disk}", async () =>
    {
        var detail = Seconds($"a call has not come back for {hang.AgeMs / 1000.0:0.0} s on '{self.Name}'")
            + (hang.FineOn is { } other ? $", and may still land, although '{other}' reaches it" : hang.Asked.Count == 0
                ? "; no other node could be asked" : $"; asked, no other node reaches it ({string.Join(", ", hang.Asked.Keys)})");
        LogHangs(logger, set, hang.Disk, detail);
        await submit(
            new LoseDisk(
                set, hang.Disk, DiskLossReason.TimedOut, detail, self.Name, self.Incarnation,
                hang.Asked.ToImmutableSortedDictionary(StringComparer.Ordinal).SetItem(self.Name, self.Incarnation))
            {
                Slow = [.. hang.Slow],
            },
            null,
            stopping);
    });

    /// <inheritdoc/>
    public void HangsOnlyHere(DiskHang hang) => Run($"path {hang.Disk}", async () =>
    {
        // Said once: the age grows, and each change is an entry of the log.
        if (Own().Any(complaint => complaint.Disk == hang.Disk)) return;
        var detail = Seconds($"its calls hang on this node (one for {hang.AgeMs / 1000.0:0.0} s), while '{hang.FineOn}' reaches it");
        LogHangs(logger, set, hang.Disk, detail);
        await ReportAsync([.. Own(), new DiskComplaint(hang.Disk, DiskLossReason.TimedOut, detail)]);
    });

    /// <inheritdoc/>
    public void LogDiskSlow(SlotConfiguration slot, string disk) => Run($"log {disk}", async () =>
    {
        LogLeft(logger, set, disk);
        await submit(new LeaveLogDisk(set, self.Name, self.Incarnation, slot.Generation, disk), null, stopping);
    });

    /// <inheritdoc/>
    public void Recovered(string disk) => Run($"path {disk}", async () =>
    {
        var others = Own().Where(complaint => complaint.Disk != disk || complaint.Reason != DiskLossReason.TimedOut).ToImmutableArray();
        if (others.Length < Own().Length) await ReportAsync(others);
    });

    /// <inheritdoc/>
    public void IoEnded(string disk) => Run($"ended {disk}", async () =>
    {
        if (feed.Current.Set(set)?.Disks.GetValueOrDefault(disk) is not { Status: ControlPlane.Model.DiskStatus.Lost } lost) return;
        foreach (var user in lost.Users.Where(user => user.Node == self.Name && user.Incarnation <= self.Incarnation))
        {
            // An earlier incarnation on this boot: its process held the data directory until its last thread had come back from the kernel,
            // or ended in this one after its disks were closed. One whose boot nobody noted ran on this boot, or on one that is over.
            if (user.Incarnation != self.Incarnation && ((user.BootId is { Length: > 0 } boot && boot != MachineBoot.Id) || DataPlaneSet.LivingOf(self.Name, set) > 1)) continue;
            await submit(
                new ReportDiskIoEnded(set, disk, lost.LostAtIndex, user.Incarnation, self.Name, self.Incarnation), null, stopping);
        }
    });

    /// <summary>A leg's calls failed as those of a lost path do: if no other node reaches the disk either, it is lost, with its marks kept.</summary>
    /// <returns>False if that was not committed: another node reaches it.</returns>
    public async Task<bool> LoseUnreachableAsync(string disk)
    {
        var state = feed.Current;
        if (state.Set(set) is not { } known || !known.Disks.ContainsKey(disk)) return false;
        var joined = known.Members.Values.Where(member => state.Node(member.Node) is { } node && Duties.IsJoined(node, member)).ToList();
        var answers = await Task.WhenAll(joined.Where(member => member.Node != self.Name).Select(member => AskAsync(member.Node, disk)));
        if (answers.Contains(DiskAnswer.Fine)) return false;
        var result = await submit(
            new LoseDisk(
                set, disk, DiskLossReason.Unreachable, $"'{self.Name}' cannot reach it, nor can any other node that answers", self.Name,
                self.Incarnation,
                joined.ToImmutableSortedDictionary(member => member.Node, member => member.JoinedIncarnation, StringComparer.Ordinal)),
            null,
            stopping);
        return result.Outcome == ApiOutcome.Applied;
    }

    private async Task<DiskAnswer> AskAsync(string node, string disk)
    {
        try
        {
            return (await peers.CallAsync(
                node, PeerMethods.ProbeDisk, new ProbeDiskRequest(set, disk), DaemonJson.Default.ProbeDiskRequest,
                DaemonJson.Default.ProbeDiskReply, AskLimit, stopping)).Answer;
        }
        catch (PeerUnreachableException)
        {
            return DiskAnswer.Unknown;
        }
    }

    /// <summary>This node's part in another's question.</summary>
    public static async ValueTask<ProbeDiskReply> AnswerAsync(DataPlaneSet? dataPlane, ProbeDiskRequest request) =>
        new(dataPlane is null ? DiskAnswer.Unknown : await dataPlane.ProbeDiskAsync(request.Disk));

    private static string Seconds(FormattableString text) => text.ToString(CultureInfo.InvariantCulture);

    private ImmutableArray<DiskComplaint> Own() =>
        feed.Current.Set(set)?.Members.GetValueOrDefault(self.Name) is { } member && member.DisksBy == self.Incarnation ? member.Disks : [];

    private async Task ReportAsync(ImmutableArray<DiskComplaint> complaints) =>
        await submit(new ReportDisks(set, self.Name, self.Incarnation, complaints), null, stopping);

    private void Run(string key, Func<Task> report)
    {
        if (!_underWay.TryAdd(key, true)) return;
        _ = Task.Run(
            async () =>
            {
                try
                {
                    await report();
                }
                catch (OperationCanceledException)
                {
                    // The node stops.
                }
                finally
                {
                    _underWay.TryRemove(key, out _);
                }
            },
            CancellationToken.None);
    }

    [LoggerMessage(3601, LogLevel.Error, "Set {Set}: disk {Disk} hangs: {Detail}")]
    private static partial void LogHangs(ILogger logger, string set, string disk, string detail);

    [LoggerMessage(3602, LogLevel.Debug, "Set {Set}: disk {Disk} is slow here; node {Node} says of it: {Answer}")]
    private static partial void LogAnswer(ILogger logger, string set, string disk, string node, string answer);

    [LoggerMessage(3604, LogLevel.Warning, "Set {Set}: the dirty log leaves disk {Disk}, which is slow, and goes on with its other one")]
    private static partial void LogLeft(ILogger logger, string set, string disk);
}

/// <summary>The boot of this machine, which ends whatever was in its kernel before.</summary>
internal static class MachineBoot
{
    /// <summary>Random, new at each boot; empty if the kernel does not tell.</summary>
    public static string Id { get; } = Read();

    private static string Read()
    {
        try
        {
            return File.ReadAllText("/proc/sys/kernel/random/boot_id").Trim();
        }
        catch (IOException)
        {
            return "";
        }
    }
}
