using System.Collections.Concurrent;
using System.Collections.Immutable;
using RaftMirror.Contracts;
using RaftMirror.ControlPlane.Commands;
using RaftMirror.ControlPlane.Model;
using RaftMirror.DataPlane.Metadata;
using RaftMirror.Node.State;

namespace RaftMirror.Node.Disks;

/// <summary>How this node enters sets and keeps their labels: it activates a set that nobody serves, joins one that is served, makes its
/// beats while it is on duty, and its closing beat when it is the last one to go (design §14.19). Any thread; one stamp
/// of a set at a time.</summary>
/// <param name="self">This node.</param>
/// <param name="feed">Applied states.</param>
/// <param name="disks">The disks of its sets.</param>
/// <param name="hasLease">True while this node may do I/O.</param>
/// <param name="mayEnter">This node hears all that serve the set, and they hear it.</param>
/// <param name="logPosition">How far its log has come, to be written beside each stamp.</param>
/// <param name="submit">Proposes; ends when the result is applied here.</param>
internal sealed class SetStamps(
    NodeIdentity self,
    StateFeed feed,
    NodeDisks disks,
    Func<bool> hasLease,
    Func<ClusterState, SetState, bool> mayEnter,
    Func<ReadOnlyMemory<byte>> logPosition,
    Func<CommandBody, CancellationToken, Task<ApiResult>> submit)
{
    private readonly ConcurrentDictionary<string, SemaphoreSlim> _gates = new(StringComparer.Ordinal);
    private readonly ConcurrentDictionary<string, (ulong Number, long SeenMs)> _seen = new(StringComparer.Ordinal);
    private readonly ConcurrentDictionary<string, long> _missingSinceMs = new(StringComparer.Ordinal);
    private readonly ConcurrentDictionary<string, long> _gaveUpMs = new(StringComparer.Ordinal); // Last activation that failed here, by set.

    /// <summary>True if this node is to stamp the set's disks now.</summary>
    public bool IsBeatDue(ClusterState state, SetState set)
    {
        if (Duties.SetDuty(state, set)?.Name != self.Name || set.NextStamp is not { } next) return false;
        // The time is this node's own: how long ago others saw the last one is nobody's to know, and a beat too early does no harm.
        var now = Environment.TickCount64;
        var seen = _seen.AddOrUpdate(set.Name, _ => (next.Number, now), (_, old) => old.Number == next.Number ? old : (next.Number, now));
        return Stamps.IsDue(set, now - seen.SeenMs, disk => disks.Find(set.Name, disk.Id) is not null);
    }

    /// <summary>Enters a set: after a look at every disk, and, if nobody serves it, after stamping them for a new activation.</summary>
    /// <returns>Null if it has to wait, for others or for a disk that keeps it out; which one stands in the state then.</returns>
    /// <exception cref="IOException">The disks cannot be judged or stamped now.</exception>
    public async Task<ApiResult?> EnterAsync(string setName, CancellationToken cancellationToken)
    {
        var state = feed.Current;
        if (state.Set(setName) is not { } set || !Stamps.IsEnterable(state, set, self.Name, self.Incarnation)) return null;
        if (!mayEnter(state, set)) return null; // Who serves would wait for this node's word.
        if (Stamps.NeedsActivation(set) && IsOthersTurn(setName)) return null;
        // The lost ones too: a disk is taken back only once each member that serves has seen it.
        var (usable, lost) = (await disks.AdmitAsync(setName, cancellationToken), await disks.LookAsync(setName, cancellationToken));
        var complaints = StateWords.Complaints(usable.Concat(lost).ToDictionary());
        var hasWaited = HasWaited(setName, complaints.Length > 0);
        if (Stamps.NeedsActivation(set))
        {
            // One node's word takes no disk from the others: they hear what is missed here, and whoever misses less goes first.
            // A node that gave an activation up takes back what it told then: its turn has come again.
            if (complaints.Length > 0 || HasComplaints(set)) await TellAsync(setName, complaints, cancellationToken);
            if (feed.Current.Set(setName) is not { } told || !DiskLossRules.MayEnterFirst(feed.Current, told, self.Name, hasWaited)) return null;
            return await ActivateAsync(setName, cancellationToken);
        }

        if (!DiskLossRules.HasPart(set, complaints)) return await TellAsync(setName, complaints, cancellationToken);
        return await submit(new JoinSet(setName, self.Name, self.Incarnation) { Disks = complaints }, cancellationToken);
    }

    /// <summary>True once this node has missed a disk of the set for so long that nodes which may see it need not be waited for.</summary>
    private bool HasWaited(string setName, bool isMissing)
    {
        if (!isMissing)
        {
            _missingSinceMs.TryRemove(setName, out _);
            return false;
        }

        return Environment.TickCount64 - _missingSinceMs.GetOrAdd(setName, Environment.TickCount64) >= DiskDuties.WaitForOthers.TotalMilliseconds;
    }

    /// <summary>True for a while after this node has failed to activate the set: whoever can do it is not to wait for whoever cannot.</summary>
    private bool IsOthersTurn(string setName) =>
        _gaveUpMs.TryGetValue(setName, out var since) && Environment.TickCount64 - since < DiskDuties.WaitForOthers.TotalMilliseconds;

    private bool HasComplaints(SetState set) =>
        set.Members.GetValueOrDefault(self.Name) is { Disks.IsEmpty: false } member && member.DisksBy == self.Incarnation;

    /// <summary>Says why this node does not serve the set, once.</summary>
    private async Task<ApiResult?> TellAsync(string setName, ImmutableArray<DiskComplaint> complaints, CancellationToken cancellationToken)
    {
        if (feed.Current.Set(setName)?.Members.GetValueOrDefault(self.Name) is { } member
            && member.DisksBy == self.Incarnation && member.Disks.SequenceEqual(complaints)) return null;
        await submit(new ReportDisks(setName, self.Name, self.Incarnation, complaints), cancellationToken);
        return null;
    }

    /// <summary>Stamps the set's disks once.</summary>
    /// <param name="setName">Set on whose duty this node is.</param>
    /// <param name="cancellationToken">Gives up.</param>
    /// <returns>Null if nothing was to be done.</returns>
    public async Task<Beat?> BeatAsync(string setName, CancellationToken cancellationToken)
    {
        var gate = _gates.GetOrAdd(setName, _ => new SemaphoreSlim(1, 1));
        await gate.WaitAsync(cancellationToken);
        try
        {
            var state = feed.Current;
            if (state.Set(setName) is not { NextStamp: { } stamp } set) return null;
            var stamped = await disks.StampAsync(
                state, set, logPosition(), () => hasLease() && IsMine(setName, stamp), NodeDisk.Limit, cancellationToken);
            var failures = stamped.Where(one => !one.Verdict.IsUsable && one.Verdict.Finding != DiskFinding.Silent)
                .ToList();
            var done = Done(stamped);
            if (done.IsEmpty && set.StampedGeneration == set.Generation) return new Beat(null, failures);
            var result = await submit(
                new StampLabels(setName, set.Generation, self.Name, self.Incarnation, stamp.Number, done), cancellationToken);
            // The leader has no room for what can wait: the next try is the next beat.
            if (result.Code == ProblemCodes.LogFull) _seen[setName] = (stamp.Number, Environment.TickCount64);
            return new Beat(result, failures);
        }
        finally
        {
            gate.Release();
        }
    }

    /// <summary>Makes the closing beats of those sets whose last node this one is, as far as their disks let it.</summary>
    /// <returns>Sets that need no more closing by this node.</returns>
    public async Task<ImmutableArray<string>> CloseAsync(IEnumerable<string> sets, CancellationToken cancellationToken)
    {
        var closed = ImmutableArray.CreateBuilder<string>();
        foreach (var name in sets)
        {
            if (feed.Current.Set(name) is not { } set || Duties.SetDuty(feed.Current, set)?.Name != self.Name) continue;
            try
            {
                await BeatAsync(name, cancellationToken);
            }
            catch (IOException)
            {
                // No disk takes it, which is logged: the node goes all the same, and its last seconds are not on the labels.
            }

            closed.Add(name);
        }

        return closed.ToImmutable();
    }

    private async Task<ApiResult?> ActivateAsync(string setName, CancellationToken cancellationToken)
    {
        var started = await submit(new StartActivation(setName, self.Name, self.Incarnation), cancellationToken);
        if (started.Outcome != ApiOutcome.Applied) return started;
        var verdicts = await disks.AdmitAsync(setName, cancellationToken);
        var complaints = StateWords.Complaints(verdicts);
        var state = feed.Current;
        if (state.Set(setName) is not { Activating: { } activating } set) return null;
        if (activating.Node != self.Name || activating.Incarnation != self.Incarnation) return null; // Another node was given it meanwhile.
        // A disk that is newer than the state: to go on with the others would be to go back in time.
        if ((complaints.Length == verdicts.Count && complaints.Length > 0) || complaints.Any(complaint => complaint.Reason == DiskLossReason.Newer))
            return await GiveUpAsync(set, activating, "it cannot use the disks that it needs", complaints, cancellationToken);
        // Here a disk that is too slow is lost by one node's word: it has as long as any other call.
        var limit = TimeSpan.FromMilliseconds(Math.Max(set.DeviceTimeoutMs, NodeDisk.Limit.TotalMilliseconds));
        var stamped = await disks.StampAsync(
            state, set, logPosition(), () => hasLease() && feed.Current.Set(setName)?.Activating == activating, limit, cancellationToken);
        if (stamped.Count > 0 && Done(stamped).IsEmpty)
        {
            // Not the disks' fault: without a lease for long, the node is fenced and another one activates the set.
            if (!hasLease()) throw new IOException($"no disk of '{setName}' could be stamped without a lease, so nobody can serve it");
            var refused = stamped.Select(static one => StateWords.Complaint(one.Disk, one.Verdict));
            complaints = [.. complaints.Concat(refused).DistinctBy(static complaint => complaint.Disk)];
            return await GiveUpAsync(set, activating, "no disk took the label", complaints, cancellationToken);
        }

        var completed = await submit(
            new CompleteActivation(setName, activating.Number, self.Name, self.Incarnation, Done(stamped)) { Complaints = complaints },
            cancellationToken);
        return completed.Outcome == ApiOutcome.Rejected ? await GiveUpAsync(set, activating, completed.Message, complaints, cancellationToken) : completed;
    }

    /// <summary>Lets another node try, and this one again after a pause. While a label of this node may still land, over a later one of
    /// another, nobody else may: the call that hangs is told instead.</summary>
    private async Task<ApiResult?> GiveUpAsync(
        SetState set, ActivationState activating, string why, ImmutableArray<DiskComplaint> complaints, CancellationToken cancellationToken)
    {
        if (await LateWrites.WaitAsync(self.Name, set, NodeDisk.Limit, cancellationToken) is { } late)
        {
            var hanging = new DiskComplaint(
                late, DiskLossReason.TimedOut,
                $"a label that {self.Name} writes to activate '{set.Name}' hangs there; nobody serves the set before that call, or node {self.Name}, has ended");
            return await TellAsync(set.Name, [.. complaints.Where(other => other.Disk != late), hanging], cancellationToken);
        }

        _gaveUpMs[set.Name] = Environment.TickCount64;
        return await submit(
            new GiveUpActivation(set.Name, activating.Number, self.Name, self.Incarnation, StateWords.Line(why), complaints), cancellationToken);
    }

    /// <summary>True while a stamp is open and this node's to write: late, it would stand over a newer one.</summary>
    private bool IsMine(string setName, StampState stamp) =>
        feed.Current is var state && state.Set(setName) is { } set && set.NextStamp == stamp && Duties.SetDuty(state, set)?.Name == self.Name;

    private static ImmutableArray<string> Done(IReadOnlyList<(string Disk, DiskVerdict Verdict)> stamped) =>
        [.. stamped.Where(one => one.Verdict.IsUsable).Select(one => one.Disk)];
}

/// <summary>What came of a beat.</summary>
/// <param name="Result">Of the command; null if no disk took the stamp.</param>
/// <param name="Failures">Disks that refused it, each with the reason; those that were merely slow are not among them.</param>
internal sealed record Beat(ApiResult? Result, IReadOnlyList<(string Disk, DiskVerdict Verdict)> Failures);
