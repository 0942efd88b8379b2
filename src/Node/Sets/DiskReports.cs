using System.Collections.Concurrent;
using System.Collections.Immutable;
using System.Globalization;
using Microsoft.Extensions.Logging;
using RaftMirror.Consensus;
using RaftMirror.Contracts;
using RaftMirror.ControlPlane.Commands;
using RaftMirror.ControlPlane.Model;
using RaftMirror.DataPlane.Configuration;
using RaftMirror.DataPlane.DiskIo;
using RaftMirror.DataPlane.DiskIo.Core;
using RaftMirror.DataPlane.Mirroring.Shell;
using RaftMirror.Node.Disks;
using RaftMirror.Node.Peers;
using RaftMirror.Node.State;
using RaftMirror.Primitives;

namespace RaftMirror.Node.Sets;

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
    private readonly OwnComplaints _complaints = new(set, self, feed, submit, stopping);
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
        if (_complaints.Has(hang.Disk, DiskLossReason.TimedOut)) return;
        var detail = Seconds($"its calls hang on this node (one for {hang.AgeMs / 1000.0:0.0} s), while '{hang.FineOn}' reaches it");
        if (await _complaints.AddAsync(new DiskComplaint(hang.Disk, DiskLossReason.TimedOut, detail))) LogHangs(logger, set, hang.Disk, detail);
    });

    /// <inheritdoc/>
    public void LogDiskSlow(SlotConfiguration slot, string disk) => Run($"log {disk}", async () =>
    {
        LogLeft(logger, set, disk);
        await submit(new LeaveLogDisk(set, self.Name, self.Incarnation, slot.Generation, disk), null, stopping);
    });

    /// <inheritdoc/>
    public void Recovered(string disk) => Run($"path {disk}", async () => await _complaints.RemoveAsync(disk, DiskLossReason.TimedOut));

    /// <inheritdoc/>
    public void IoEnded(string disk) => Run($"ended {disk}", async () =>
    {
        if (feed.Current.Set(set)?.Disks.GetValueOrDefault(disk) is not { Status: ControlPlane.Model.DiskStatus.Lost } lost) return;
        if (LateWrites.Any(self.Name, lost.Id)) return; // Labels of whichever incarnation of this process; said again in a second.
        foreach (var user in lost.Users.Where(user => user.Node == self.Name && user.Incarnation <= self.Incarnation))
        {
            if (user.Incarnation != self.Incarnation && !HasEnded(user, lost.PathOn(self.Name))) continue;
            await submit(
                new ReportDiskIoEnded(set, disk, lost.LostAtIndex, user.Incarnation, self.Name, self.Incarnation), null, stopping);
        }
    });

    private Task<DiskAnswer> AskAsync(string node, string disk) => AskAsync(peers, node, new ProbeDiskRequest(set, disk), stopping);

    /// <summary>What another node says of a disk; no answer in time is none.</summary>
    public static async Task<DiskAnswer> AskAsync(PeerClient peers, string node, ProbeDiskRequest request, CancellationToken cancellationToken)
    {
        try
        {
            return (await peers.CallAsync(
                node, PeerMethods.ProbeDisk, request, DaemonJson.Default.ProbeDiskRequest, DaemonJson.Default.ProbeDiskReply, AskLimit,
                cancellationToken)).Answer;
        }
        catch (PeerUnreachableException)
        {
            return DiskAnswer.Unknown;
        }
    }

    /// <summary>An earlier incarnation on this boot: its process held the data directory until its last thread had come back from the kernel, or it
    /// ended in this one: then its ports count among those of which none is left (<see cref="IoEnded"/>). One whose boot nobody noted ran on this
    /// boot, or on one that is over. Not so where a kill ends a thread's wait and the request goes on without it.</summary>
    private static bool HasEnded(DiskUser user, string path) =>
        (user.BootId is not { Length: > 0 } boot || boot == MachineBoot.Id) && KernelWaits.OutlastAKill(path);

    /// <summary>This node's part in another's question.</summary>
    public static async ValueTask<ProbeDiskReply> AnswerAsync(DataPlaneSet? dataPlane, ProbeDiskRequest request) =>
        new(dataPlane is null ? DiskAnswer.Unknown : await dataPlane.ProbeDiskAsync(request.Disk, new ByteRange(request.Offset, request.Length)));

    private static string Seconds(FormattableString text) => text.ToString(CultureInfo.InvariantCulture);

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
