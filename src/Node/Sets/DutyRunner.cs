using System.Collections.Concurrent;
using System.Collections.Immutable;
using Microsoft.Extensions.Logging;
using RaftMirror.Consensus;
using RaftMirror.Contracts;
using RaftMirror.ControlPlane.Commands;
using RaftMirror.ControlPlane.Model;
using RaftMirror.DataPlane.DiskIo.Core;
using RaftMirror.DataPlane.Metadata;
using RaftMirror.DataPlane.Mirroring.Shell;
using RaftMirror.Node.Disks;
using RaftMirror.Node.State;

namespace RaftMirror.Node.Sets;

/// <summary>Does what the state asks of this node. Level-triggered: each duty follows from the state alone and ends in a command that
/// removes its cause, so a crash between two steps only delays it, and doing it twice changes nothing.</summary>
internal sealed partial class DutyRunner(
    NodeIdentity self,
    IReplicatedLog log,
    StateFeed feed,
    NodeAddresses addresses,
    string clusterName,
    Guid clusterId,
    SetResources resources,
    NodeDisks disks,
    SetStamps stamps,
    Func<string, DataPlaneSet?> dataPlane,
    TimeSpan transferLimit,
    Func<string, LegFailures> failuresOf,
    Func<CommandBody, string?, CancellationToken, Task<ApiResult>> submit,
    Func<bool> isBarred,
    ILogger logger)
{
    private static readonly TimeSpan Again = TimeSpan.FromMilliseconds(500);
    private static readonly TimeSpan SlotPause = TimeSpan.FromSeconds(2);
    private readonly ConcurrentDictionary<string, long> _slotOpenedMs = new(StringComparer.Ordinal);
    private Dictionary<(string Volume, ulong Epoch), long> _transfersSeenMs = []; // When this node first saw each: log time may be corrected.
    private readonly Dictionary<string, Task> _underWay = new(StringComparer.Ordinal);
    private readonly LogOnce _once = new();
    private readonly LogReopening _logReopening = new(self);
    private readonly DiskDuties _diskDuties = new(
        self, feed, disks, dataPlane, (set, disk) => failuresOf(set).LookAgain(disk), (body, token) => submit(body, null, token), logger);

    /// <summary>Runs until cancelled.</summary>
    public async Task RunAsync(CancellationToken cancellationToken)
    {
        while (true)
        {
            var state = feed.Current;
            foreach (var (key, duty) in Due(state))
            {
                if (_underWay.TryGetValue(key, out var running) && !running.IsCompleted) continue;
                _underWay[key] = DoAsync(key, duty, cancellationToken);
            }

            // What failed is tried again after a while, what changed at once.
            await feed.WaitChangeAsync(state.Index, Again, cancellationToken);
        }
    }

    private async Task DoAsync(string key, Func<CancellationToken, Task<ApiResult?>> duty, CancellationToken cancellationToken)
    {
        try
        {
            var result = await duty(cancellationToken);
            if (result is { Outcome: not ApiOutcome.Applied }) _once.Log(key, $"{result.Code} {result.Message}", () => LogRefused(logger, key, result.Code, result.Message));
            else _once.Over(key);
            // Not at once again after a refusal or failure: the state may be about to change.
            if (result is not { Outcome: ApiOutcome.Applied }) await feed.WaitChangeAsync(feed.Current.Index, Again, cancellationToken);
        }
        catch (IOException failure)
        {
            _once.Log(key, failure.Message, () => LogFailed(logger, key, failure.Message));
            await feed.WaitChangeAsync(feed.Current.Index, Again, cancellationToken);
        }
        catch (OperationCanceledException)
        {
            // The node stops.
        }
    }

    private IEnumerable<(string Key, Func<CancellationToken, Task<ApiResult?>> Duty)> Due(ClusterState state)
    {
        if (isBarred()) yield break;
        if (log.Status.IsLeader)
        {
            if (!state.IsBootstrapped) yield return ("bootstrap", token => Submit(new BootstrapCluster(clusterName, clusterId), token));
            foreach (var overdue in OverdueTransfers(state)) yield return overdue;
        }

        if (!state.IsBootstrapped) yield break;
        var node = state.Node(self.Name);
        if (node is null || node.Incarnation < self.Incarnation)
        {
            yield return ("register", token => Submit(
                new RegisterNode(self.Name, self.Id.Value, self.Incarnation, addresses.Api, addresses.Peer, addresses.Nbd)
                {
                    Start = self.Start,
                    BootId = MachineBoot.Id,
                },
                token));
            yield break;
        }

        foreach (var set in state.Sets.Values)
        {
            if (!set.Members.TryGetValue(self.Name, out var member)) continue;
            foreach (var victim in set.Members.Values)
            {
                if (victim.IsMergeOwed && Duties.MergeDuty(state, set.Name, victim.Node) is { } merger && merger.Name == self.Name)
                    yield return ($"merge {set.Name} {victim.Node}", token => MergeAsync(set.Name, victim.Node, token));
            }

            if (node.Incarnation != self.Incarnation || !node.IsLive) continue;
            if (member.JoinedIncarnation == 0 && !member.HasLeft && !member.IsMergeOwed)
                yield return ($"join {set.Name}", token => stamps.EnterAsync(set.Name, token));
            if (member.JoinedIncarnation != self.Incarnation) continue;
            if (member.Slot is null && set.Volumes.Values.Any(volume => volume.Recovery == RecoveryMode.Log))
            {
                var disks = PlacementRules.ChooseLogDisks(set, member, self.Incarnation);
                if (disks.Length > 0 && IsSlotDue(set.Name))
                    yield return ($"slot {set.Name}", token => OpenSlotAsync(set.Name, disks, token));
            }

            // The data plane reports it as it reports a log that failed: once its writes have ended.
            if (_logReopening.IsDue(state, set, member, () => dataPlane(set.Name)?.DiskStatistics().All(static disk => disk.IsFine) == true))
                dataPlane(set.Name)?.GiveUpLog(member.SlotGeneration, LogReopening.Why);
            foreach (var duty in _diskDuties.Due(state, set, member)) yield return duty;
            if (stamps.IsBeatDue(state, set)) yield return ($"labels {set.Name}", token => BeatAsync(set.Name, token));
        }
    }

    /// <summary>Transfers whose old owner takes too long: the target is struck out, so that the requester is not bound to it.</summary>
    private IEnumerable<(string Key, Func<CancellationToken, Task<ApiResult?>> Duty)> OverdueTransfers(ClusterState state)
    {
        var now = Environment.TickCount64;
        var seen = new Dictionary<(string Volume, ulong Epoch), long>();
        foreach (var set in state.Sets.Values)
        {
            foreach (var volume in set.Volumes.Values)
            {
                if (volume.Transfer is not { To: not null } transfer) continue;
                var key = ($"{set.Name}/{volume.Name}", transfer.Epoch);
                seen[key] = _transfersSeenMs.GetValueOrDefault(key, now);
                if (now - seen[key] < transferLimit.TotalMilliseconds) continue;
                yield return ($"cancel {set.Name}/{volume.Name}", token => Submit(
                    new CancelTransfer(set.Name, volume.Name, transfer.Epoch, "The owner did not release it in time."), token));
            }
        }

        _transfersSeenMs = seen;
    }

    /// <summary>A log that fails at once is opened anew at once: without a pause each round would be a few entries of the log for ever.</summary>
    private bool IsSlotDue(string set) =>
        !_slotOpenedMs.TryGetValue(set, out var last) || Environment.TickCount64 - last >= SlotPause.TotalMilliseconds;

    private async Task<ApiResult?> OpenSlotAsync(string set, ImmutableArray<string> disks, CancellationToken cancellationToken)
    {
        _slotOpenedMs[set] = Environment.TickCount64;
        return await Submit(new OpenSlot(set, self.Name, self.Incarnation, disks), cancellationToken);
    }

    private async Task<ApiResult?> Submit(CommandBody body, CancellationToken cancellationToken) => await submit(body, null, cancellationToken);

    private async Task<ApiResult?> MergeAsync(string setName, string victim, CancellationToken cancellationToken)
    {
        // What was sealed when the reading begins: the index proves that the victim was proven gone before.
        var state = await disks.CommittedAsync(cancellationToken);
        if (state.Set(setName) is not { } set || set.Members[victim] is not { IsMergeOwed: true, Slot: { } slot } member) return null;
        using var span = Telemetry.Tracing.StartRoot("merge dirty maps");
        span?.SetTag("diskset.name", setName).SetTag("raft.node.id", victim);
        var marks = await resources.ReadSlotAsync(state, set, member.SlotNumber, slot, () => disks.CommittedAsync(cancellationToken));
        if (marks.Doubt is not null && marks.IsEverythingDirty) LogDoubt(logger, setName, victim, marks.Doubt);
        else if (marks.Doubt is not null) LogHalf(logger, setName, victim, marks.Doubt);
        return await submit(
            new MergeDirtyLog(
                setName,
                victim,
                slot.Incarnation,
                self.Name,
                self.Incarnation,
                state.Index,
                marks.IsEverythingDirty,
                marks.Doubt,
                SetResources.ToMarks(marks.Marks)),
            Telemetry.Tracing.TraceParentOf(span),
            cancellationToken);
    }

    private async Task<ApiResult?> BeatAsync(string setName, CancellationToken cancellationToken)
    {
        var beat = await stamps.BeatAsync(setName, cancellationToken);
        if (beat is null || feed.Current.Set(setName) is not { } set) return null;
        // Their legs are lost too, those of idle volumes included; then nothing asks for their labels any more.
        foreach (var (disk, verdict) in beat.Failures)
        {
            if (verdict.Finding == DiskFinding.Unreadable) await FailLegsAsync(set, disk, verdict.Message, cancellationToken);
            else await _diskDuties.LoseChangedAsync(setName, disk, verdict, cancellationToken);
        }

        return beat.Result;
    }

    /// <summary>One failure of a disk is noticed for every leg on it: no volume has to run into it by itself.</summary>
    private async Task FailLegsAsync(SetState set, string disk, string reason, CancellationToken cancellationToken)
    {
        var judged = await failuresOf(set.Name).JudgeAsync(disk, default, isWrite: true, reason);
        if (judged.Verdict != FailureVerdict.Medium) return; // The next beat finds it again, or another node makes it.
        LogDiskFails(logger, set.Name, disk, reason);
        foreach (var volume in set.Volumes.Values)
        {
            foreach (var leg in volume.Submirrors.Where(leg => leg.IsWritable && leg.Status != LegState.LastErred && leg.IsOn(disk)))
            {
                await Submit(
                    new FailSubmirror(set.Name, volume.Name, leg.Name, self.Name, self.Incarnation, $"{disk}: {reason}; {judged.Evidence}"), cancellationToken);
            }
        }
    }

    [LoggerMessage(3401, LogLevel.Information, "Duty {Duty} was refused: {Code}: {Reason}")]
    private static partial void LogRefused(ILogger logger, string duty, string code, string reason);

    [LoggerMessage(3402, LogLevel.Warning, "Duty {Duty} failed and is tried again: {Reason}")]
    private static partial void LogFailed(ILogger logger, string duty, string reason);

    [LoggerMessage(3405, LogLevel.Warning, "Dirty log of node {Node} in set {Set} was read from a part of its disks, which have all its marks: {Doubt}")]
    private static partial void LogHalf(ILogger logger, string set, string node, string doubt);

    [LoggerMessage(3403, LogLevel.Error, "Dirty log of node {Node} in set {Set} is in doubt, so everything counts as dirty: {Doubt}")]
    private static partial void LogDoubt(ILogger logger, string set, string node, string doubt);

    [LoggerMessage(3404, LogLevel.Error, "Set {Set}: disk {Disk} fails, and with it every leg on it: {Reason}")]
    private static partial void LogDiskFails(ILogger logger, string set, string disk, string reason);
}

/// <summary>Where this node listens, as others are told.</summary>
internal sealed record NodeAddresses(string Api, string Peer, string Nbd);
