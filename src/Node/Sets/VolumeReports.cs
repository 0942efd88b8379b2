using System.Collections.Concurrent;
using System.Collections.Immutable;
using System.Diagnostics;
using Microsoft.Extensions.Logging;
using RaftMirror.Contracts;
using RaftMirror.ControlPlane.Commands;
using RaftMirror.ControlPlane.Model;
using RaftMirror.DataPlane.Configuration;
using RaftMirror.DataPlane.DirtyRegions;
using RaftMirror.DataPlane.DiskIo.Core;
using RaftMirror.DataPlane.Mirroring.Core;
using RaftMirror.DataPlane.Mirroring.Shell;
using RaftMirror.Node.State;
using RaftMirror.Node.Telemetry;
using RaftMirror.Primitives;

namespace RaftMirror.Node.Sets;

/// <summary>What the data plane of one set reports, as commands of this incarnation. A report that is under way is not begun again;
/// the data plane repeats what had no effect. Any thread; returns at once.</summary>
internal sealed partial class VolumeReports(
    string set,
    NodeIdentity self,
    StateFeed feed,
    Func<CommandBody, string?, CancellationToken, Task<ApiResult>> submit,
    Action<string> fenced,
    TransferSpans spans,
    LegFailures failures,
    ILogger logger,
    CancellationToken stopping) : IVolumeReports
{
    private static readonly TimeSpan Again = TimeSpan.FromMilliseconds(500);
    private readonly ConcurrentDictionary<(uint Volume, string Kind), bool> _underWay = new();

    /// <inheritdoc/>
    public void RequestOwnership(uint volume, ulong epochSeen) => Run(volume, "ownership", async state =>
    {
        if (state.Owner.Epoch != epochSeen || state.Owner.Node == self.Name || state.Transfer is not null) return;
        using var span = Tracing.StartRoot("move owner", ActivityKind.Client);
        span?.SetTag("diskset.name", set).SetTag("volume.name", $"{set}/{state.Name}").SetTag("owner.from", state.Owner.Node ?? "none");
        span?.SetTag("owner.to", self.Name).SetTag("owner.move.reason", "write");
        var result = await submit(
            new MoveOwner(set, state.Name, self.Name, self.Incarnation, TransferReason.Write), Tracing.TraceParentOf(span), stopping);
        if (result.Outcome != ApiOutcome.Applied)
        {
            Tracing.Fail(span, result.Code, result.Message);
            return;
        }

        // The span lasts until the move is through (or another one has begun), so that its children lie inside it.
        var after = await feed.WaitAsync(
            cluster => Find(cluster, volume) is not { } now || now.Owner.Epoch > epochSeen, stopping);
        if (Find(after, volume) is not { } moved) return;
        span?.SetTag("owner.epoch", moved.Owner.Epoch);
        await spans.WaitEnactedAsync(volume, moved.Owner.Epoch, stopping);
    });

    /// <inheritdoc/>
    public void Released(uint volume, ReleaseReport report) => Run(volume, "release", async state =>
    {
        if (state.Owner.Node != self.Name || state.Owner.Epoch != report.Epoch || state.Transfer is not { } transfer) return;
        spans.Drained(volume, report.Epoch);
        if (report.IsEverythingOwed && report.PositionBytes > 0 && state.Resync is not null)
        {
            // Under the index that the position was found at: if more became owed since, the position must not count.
            await submit(
                new ReportResync(
                    set, state.Name, state.Owner.Epoch, self.Name, self.Incarnation, report.Index, report.PositionBytes),
                null,
                stopping);
        }

        var owed = report.Owed.Select(run => new RegionRun(run.Start, run.Length));
        await submit(
            new ReleaseOwner(set, state.Name, self.Name, self.Incarnation, transfer.Epoch, [.. owed]), transfer.Traceparent, stopping);
    });

    /// <inheritdoc/>
    public void LegFailed(uint volume, LegFailureReport report) => Run(volume, $"leg {report.Leg}", async state =>
    {
        var text = report.Text;
        if (report.Reason != LegFailureReason.NoSpace) // What a disk has no space for, it has it for nobody.
        {
            var judged = await failures.JudgeAsync(report.Disk, report.Place, report.LacksData, report.Text);
            if (judged.Verdict != FailureVerdict.Medium) return; // The core repeats it.
            text = $"{text}; {judged.Evidence}";
            // A call that was given up with a disk that is back by now says nothing against the disk any more: lost again, it would come back again.
            // Nor does an error that nobody else could look for: the submirror goes offline, and comes back with what it missed.
            var isOutOfReach = judged.IsOutOfReach && (report.Reason == LegFailureReason.Unreachable || judged.IsUnconfirmed);
            if (isOutOfReach && await LoseUnreachableAsync(report.Disk, text)) return;
        }

        await submit(
            new FailSubmirror(set, state.Name, report.Leg, self.Name, self.Incarnation, text) { HeldBy = report.HeldBy }, null, stopping);
    });

    /// <summary>No node reaches the disk: it is lost, with what its submirrors miss kept.</summary>
    /// <returns>False if that was not committed.</returns>
    private async Task<bool> LoseUnreachableAsync(string disk, string detail)
    {
        var state = feed.Current;
        if (state.Set(set) is not { } known || !known.Disks.ContainsKey(disk)) return false;
        var joined = known.Members.Values.Where(member => state.Node(member.Node) is { } node && Duties.IsJoined(node, member));
        var result = await submit(
            new LoseDisk(
                set, disk, DiskLossReason.Unreachable, detail, self.Name, self.Incarnation,
                joined.ToImmutableSortedDictionary(member => member.Node, member => member.JoinedIncarnation, StringComparer.Ordinal)),
            null,
            stopping);
        return result.Outcome == ApiOutcome.Applied;
    }

    /// <inheritdoc/>
    public void BarrierConfirmed(uint volume, ulong barrier, IReadOnlyList<ByteRange> marked) => Run(volume, $"barrier {barrier}", async state =>
        await submit(
            new ConfirmBarrier(set, state.Name, barrier, self.Name, self.Incarnation)
            {
                // Bounded to a superset: an entry of the log has a bound.
                Runs = RegionRuns.Bound([.. marked.Select(run => new RegionRun(run.Start, run.Length))], RegionRuns.MaxRuns),
            },
            null,
            stopping));

    /// <inheritdoc/>
    public void ResyncProgressed(uint volume, ResyncProgressReport report) => Run(volume, "progress", async state =>
    {
        if (state.Resync is null || state.Owner.Epoch != report.Epoch) return;
        await submit(
            new ReportResync(set, state.Name, report.Epoch, self.Name, self.Incarnation, report.Index, report.PositionBytes),
            null,
            stopping);
    });

    /// <inheritdoc/>
    public void ResyncFinished(uint volume, ResyncFinishedReport report) => Run(volume, "finish", async state =>
    {
        if (state.Resync is null || state.Owner.Epoch != report.Epoch) return;
        await submit(
            new FinishResync(
                set,
                state.Name,
                report.Epoch,
                self.Name,
                self.Incarnation,
                report.Index,
                report.CopiedBytes,
                report.ComparedBytes,
                report.SkippedBytes),
            null,
            stopping);
    });

    /// <inheritdoc/>
    public void DirtyLogFailed(SlotConfiguration slot, DirtyLogFailure failure)
    {
        if (failure.IsChosen) LogDirtyLogGivenUp(logger, set, slot.Generation, failure.Message);
        else LogDirtyLogFailed(logger, set, slot.Generation, failure.Message);
        Run(0, $"slot {slot.Generation}", async _ => // Another log may fail before the word of this one is through.
        {
            // Reported once, so it is repeated here until it is decided: without it this node would never write again.
            while (true)
            {
                var result = await submit(
                    new AbandonSlot(set, self.Name, self.Incarnation, slot.Generation, failure.Message, await FailedAsync(failure)), null, stopping);
                if (result.Outcome is ApiOutcome.Applied or ApiOutcome.Rejected) return;
                await feed.WaitChangeAsync(feed.Current.Index, Again, stopping);
            }
        });
    }

    /// <summary>The disk of a log that failed, if it is the disk's fault; where it is this node's, the next log lies on others.</summary>
    private async Task<string?> FailedAsync(DirtyLogFailure failure)
    {
        if (failure.Disk is not { } disk || failure.IsFull) return failure.Disk;
        while (true)
        {
            var judged = await failures.JudgeAsync(disk, default, isWrite: true, failure.Message);
            if (judged.Verdict == FailureVerdict.Path) return null;
            if (judged.Verdict == FailureVerdict.Medium)
            {
                // Out of reach, or cut: it is lost with its marks kept, and comes back when it is what it was.
                var isLost = failure.IsUnreachable && judged.IsOutOfReach && await LoseUnreachableAsync(disk, $"{failure.Message}; {judged.Evidence}");
                return isLost ? null : disk;
            }

            await feed.WaitChangeAsync(feed.Current.Index, Again, stopping);
        }
    }

    /// <inheritdoc/>
    public void DirtyLogOpened(SlotConfiguration slot) => LogDirtyLogOpened(logger, set, slot.Generation, string.Join(", ", slot.Disks));

    /// <inheritdoc/>
    public void Fenced(string reason) => fenced($"set '{set}': {reason}");

    private VolumeState? Find(ClusterState cluster, uint volume) =>
        cluster.Set(set)?.Volumes.Values.FirstOrDefault(candidate => candidate.Number == volume);

    private void Run(uint volume, string kind, Func<VolumeState, Task> report)
    {
        if (!_underWay.TryAdd((volume, kind), true)) return;
        _ = Task.Run(
            async () =>
            {
                try
                {
                    // Reports about the set (volume 0) need no volume.
                    if (volume == 0) await report(null!);
                    else if (Find(feed.Current, volume) is { } state) await report(state);
                }
                catch (OperationCanceledException)
                {
                    // The node stops.
                }
                finally
                {
                    _underWay.TryRemove((volume, kind), out _);
                }
            },
            CancellationToken.None);
    }

    [LoggerMessage(3201, LogLevel.Error, "Dirty log of set {Set}, generation {Generation}, failed: {Reason}")]
    private static partial void LogDirtyLogFailed(ILogger logger, string set, ulong generation, string reason);

    [LoggerMessage(3203, LogLevel.Information, "Dirty log of set {Set}, generation {Generation}, is given up: {Reason}")]
    private static partial void LogDirtyLogGivenUp(ILogger logger, string set, ulong generation, string reason);

    [LoggerMessage(3202, LogLevel.Information, "Dirty log of set {Set}, generation {Generation}, is open on {Disks}")]
    private static partial void LogDirtyLogOpened(ILogger logger, string set, ulong generation, string disks);
}
