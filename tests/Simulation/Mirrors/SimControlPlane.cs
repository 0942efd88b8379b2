using RaftMirror.DataPlane.Configuration;
using RaftMirror.DataPlane.Leases.Core;
using RaftMirror.DataPlane.Mirroring.Core;
using RaftMirror.Primitives;

namespace RaftMirror.Simulation.Mirrors;

/// <summary>The committed state and its rules in one place that never fails: what the control plane decides, as far as mirrors
/// see it. Commits go to the nodes late, but in order.</summary>
internal sealed class SimControlPlane(
    MirrorWorld world, VolumeConfiguration volume, long leaseNs, long horizonNs, Func<long> drawMergeNs)
{
    private readonly Dictionary<string, long> _grantedUntil = [];
    private readonly Dictionary<string, long> _suspectSince = [];
    private readonly Dictionary<string, long> _mergeAtNs = [];
    private readonly Dictionary<ulong, SortedSet<string>> _barriers = [];
    private readonly Dictionary<ulong, string> _returning = [];
    private readonly SimKeptMarks _kept = new(volume.Recovery == RecoveryMode.Log);
    private readonly Dictionary<(string, string), long> _apartSince = [];
    private readonly SortedDictionary<ulong, long> _lossSince = [];
    private readonly Dictionary<string, (LegState State, ulong Index)> _legs = new(StringComparer.Ordinal);
    private ulong _owedChanged;

    public ulong Index { get; private set; } = 1;

    public VolumeConfiguration Volume { get; private set; } = volume;

    public List<MemberConfiguration> Members { get; } = [];

    public int Transfers { get; private set; }

    public int Merges { get; private set; }

    public int Resyncs { get; private set; }

    public int Losses => _kept.Losses;

    /// <summary>When the oldest loss of a leg that has not ended began; null if there is none.</summary>
    public long? OldestLossNs
    {
        get
        {
            long? oldest = null;
            foreach (var (id, since) in _lossSince)
            {
                if (_barriers.ContainsKey(id) && (oldest is null || since < oldest)) oldest = since;
            }

            return oldest;
        }
    }

    public int Returns => _kept.Returns;
    /// <summary>Leases ended because two live nodes did not hear each other.</summary>
    public int Cuts { get; private set; }

    public bool IsQuiet => Volume.Resync is null && _barriers.Count == 0 && Volume.Owner.TransferTo is null
        && Members.TrueForAll(static member => member is { State: MemberPhase.Up, IsMergeOwed: false })
        && AreAllOkay;

    public bool AreAllOkay => Volume.Legs.All(static leg => leg.State == LegState.Okay);

    /// <summary>True while any member may have the volume.</summary>
    public bool IsServed => Members.Exists(static member => member is { IsJoined: true, State: MemberPhase.Up or MemberPhase.Suspect });

    public MemberConfiguration Member(string node) => Members.Find(member => member.Node == node)!;

    /// <summary>Index at which the state of a leg changed last.</summary>
    public ulong ChangedOf(string leg) => _legs.TryGetValue(leg, out var known) ? known.Index : 0;

    public void Commit()
    {
        Index++;
        foreach (var leg in Volume.Legs)
        {
            if (!_legs.TryGetValue(leg.Name, out var known) || known.State != leg.State) _legs[leg.Name] = (leg.State, Index);
        }

        world.Committed(Index, node => Volume with
        {
            Barriers = _barriers.Select(entry =>
                new BarrierConfiguration(
                    entry.Key, _returning.ContainsKey(entry.Key) ? BarrierKind.LegReturn : BarrierKind.LegLoss, entry.Value.Contains(node)))
                .OrderBy(b => b.Id).ToArray(),
        });
    }

    /// <summary>A renewal; answered only for a life that is not suspected.</summary>
    public LeaseGrant? Renew(string node, ulong incarnation, long sentNs, long now)
    {
        var member = Member(node);
        if (member.Incarnation != incarnation || member.State != MemberPhase.Up || !member.IsJoined) return null;
        _grantedUntil[node] = Math.Max(_grantedUntil.GetValueOrDefault(node), now + leaseNs);
        return new LeaseGrant(sentNs, leaseNs, Index, 1, incarnation);
    }

    /// <summary>Looks for silent members, ends those whose horizon is over, merges their logs.</summary>
    public void Tick(long now)
    {
        for (var i = 0; i < Members.Count; i++)
        {
            var member = Members[i];
            var until = _grantedUntil.GetValueOrDefault(member.Node);
            if (member.State == MemberPhase.Up && until > 0 && now > until + (leaseNs / 2)) Suspect(member.Node, now);
            else if (member.State == MemberPhase.Suspect && IsHorizonOver(until, _suspectSince[member.Node], now)) Fence(member.Node, now);
            else if (member.State == MemberPhase.Fenced && member.IsMergeOwed) MergeInTime(member.Node, now);
            else if (member.State == MemberPhase.Fenced) Set(member with { State = MemberPhase.Down, IsJoined = false });
        }

        EndSilence(now);
        if (Volume.Resync is not null && Volume.Owner is { Node: null, TransferTo: null })
        {
            var candidate = Members.Find(static member => member.State == MemberPhase.Up && member.IsJoined);
            if (candidate is not null && !IsOwnerUncertain()) SetOwner(candidate.Node, candidate.Incarnation);
        }
    }

    /// <summary>As LeaseGrantor waits: nothing of the victim's is under way, and nobody serves any more who does not know of the
    /// suspicion, since each lease that was granted before it has run out.</summary>
    private bool IsHorizonOver(long until, long suspected, long now) =>
        now > Math.Max(until, suspected) + horizonNs && now > suspected + leaseNs;

    /// <summary>As LeaseGrantor does: of two live nodes that do not hear each other for long, one gets no more leases.</summary>
    private void EndSilence(long now)
    {
        for (var i = 0; i < Members.Count; i++)
        {
            for (var j = i + 1; j < Members.Count; j++)
            {
                var (a, b) = (Members[i], Members[j]);
                var areApart = world.IsCut(a.Node, b.Node) && a is { State: MemberPhase.Up, IsJoined: true } && b is { State: MemberPhase.Up, IsJoined: true };
                if (!areApart) _apartSince.Remove((a.Node, b.Node));
                else if (_apartSince.TryAdd((a.Node, b.Node), now) || now - _apartSince[(a.Node, b.Node)] < 400_000_000) continue;
                else
                {
                    Cuts++;
                    Suspect(b.Node, now);
                }
            }
        }
    }

    private void MergeInTime(string node, long now)
    {
        if (now >= _mergeAtNs[node]) Merge(node);
    }

    public void Suspect(string node, long now)
    {
        _suspectSince[node] = now;
        Set(Member(node) with { State = MemberPhase.Suspect, IsMergeOwed = true });
    }

    public void Join(string node, ulong incarnation, long now)
    {
        var member = Member(node);
        if (member.State == MemberPhase.Up && member.Incarnation != incarnation)
        {
            Suspect(node, now); // Its former life is unaccounted for.
            return;
        }

        if (member.State != MemberPhase.Down || member.IsMergeOwed || incarnation <= member.Incarnation) return;
        if (Members.Exists(other => other is { State: MemberPhase.Up } && world.IsCut(node, other.Node))) return; // It hears them first.
        if (!world.MayEnter(node, isFirst: !IsServed)) return;
        _grantedUntil[node] = now;
        Set(member with { State = MemberPhase.Up, Incarnation = incarnation, IsJoined = true });
    }

    public void RequestOwnership(string node, ulong incarnation, ulong epochSeen)
    {
        var owner = Volume.Owner;
        var member = Member(node);
        if (member.Incarnation != incarnation || member.State != MemberPhase.Up || owner.Epoch != epochSeen) return;
        if (owner.TransferTo is not null || owner.Node == node || IsOwnerUncertain()) return;
        if (owner.Node is null)
        {
            SetOwner(node, incarnation);
            return;
        }

        if (Member(owner.Node).State != MemberPhase.Up) return;
        Volume = Volume with { Owner = owner with { Epoch = owner.Epoch + 1, TransferTo = node } };
        Commit();
    }

    public void Released(string node, ReleaseReport report)
    {
        var owner = Volume.Owner;
        if (owner.Node != node || owner.Incarnation != report.Incarnation || owner.Epoch != report.Epoch || owner.TransferTo is null) return;
        var owed = Volume.Resync;
        if (report.IsEverythingOwed) owed = new ResyncConfiguration(true, owed?.OwedRegions ?? [], report.Index < _owedChanged ? 0 : report.PositionBytes);
        else if (report.Owed.Count > 0 && owed is not { IsEverythingOwed: true })
        {
            // A release only ever adds: what became owed after its configuration is not in it.
            owed = new ResyncConfiguration(false, SimKeptMarks.Union(owed?.OwedRegions ?? [], report.Owed), 0);
        }
        var to = Member(owner.TransferTo);
        var isThere = to.State == MemberPhase.Up;
        Volume = Volume with
        {
            Resync = owed,
            Owner = new OwnerConfiguration(isThere ? to.Node : null, isThere ? to.Incarnation : 0, owner.Epoch + 1, null),
        };
        if (owed is not null) _owedChanged = Index + 1;
        _kept.Owed(owed);
        Transfers++;
        Commit();
    }

    public void LegFailed(string node, LegFailureReport report)
    {
        var legs = Volume.Legs.ToArray();
        var at = Array.FindIndex(legs, leg => leg.Name == report.Leg);
        if (at < 0 || !legs[at].IsWritable || legs[at].State == LegState.LastErred) return;
        if (world.IsPathLost(legs[at].Extents[0].Disk) && Lose(report.Leg)) return;
        if (report.HeldBy is not null && !Volume.Legs.Any(leg => leg.Name == report.HeldBy && leg.IsReadable)) return;
        world.CheckLost(node, report);
        var others = legs.Count(leg => leg.Name != report.Leg && leg.State == LegState.Okay);
        if (legs[at].State == LegState.Okay && others == 0)
        {
            legs[at] = legs[at] with { State = LegState.LastErred };
        }
        else
        {
            legs[at] = legs[at] with { State = LegState.Maintenance };
            EndReturn(report.Leg);
            _barriers[Index + 1] = MayDoIo();
        }

        Volume = Volume with { Legs = legs };
        Commit();
    }

    /// <summary>The disk of a leg is lost, and another leg has the data: it goes offline, and what it misses is kept.</summary>
    /// <returns>False if it is the last one, which is not taken out.</returns>
    public bool Lose(string name)
    {
        var legs = Volume.Legs.ToArray();
        var at = Array.FindIndex(legs, leg => leg.Name == name);
        if (!legs[at].IsWritable || legs[at].State == LegState.LastErred) return false;
        if (legs[at].State == LegState.Okay && legs.Count(static leg => leg.State == LegState.Okay) == 1) return false;
        legs[at] = legs[at] with { State = LegState.Offline };
        _kept.Lost(name, Volume.Resync);
        world.LegLeft(legs[at].Extents[0].Disk);
        EndReturn(name);
        _barriers[Index + 1] = MayDoIo();
        if (_barriers[Index + 1].Count == 0) EndBarrier(Index + 1);
        _lossSince[Index + 1] = world.Now;
        Volume = Volume with { Legs = legs };
        Commit();
        return true;
    }

    /// <summary>The disk is back as it was: the leg gets what it misses, and each node tells what it has marked meanwhile. One that is older than
    /// it was gets everything.</summary>
    /// <returns>False if it is too early.</returns>
    public bool Return(string name, bool isEverythingOwed = false)
    {
        if (_barriers.Count > 0) return false;
        var legs = Volume.Legs.ToArray();
        var at = Array.FindIndex(legs, leg => leg.Name == name);
        legs[at] = legs[at] with { State = LegState.Resyncing };
        Volume = Volume with { Legs = legs, Resync = _kept.Returned(name, Volume.Resync) };
        if (isEverythingOwed) Volume = Volume with { Resync = new ResyncConfiguration(true, [], 0) };
        _kept.Owed(Volume.Resync);
        _owedChanged = Index + 1;
        _returning[Index + 1] = name;
        _barriers[Index + 1] = MayDoIo();
        if (_barriers[Index + 1].Count == 0) EndReturn(name);
        Commit();
        return true;
    }

    public void BarrierConfirmed(string node, ulong barrier, IReadOnlyList<ByteRange> marked)
    {
        if (!_barriers.TryGetValue(barrier, out var waiting) || !waiting.Remove(node)) return;
        if (waiting.Count == 0) EndBarrier(barrier);
        if (marked.Count > 0 && Volume.Resync is { } resync)
        {
            Volume = Volume with { Resync = resync with { OwedRegions = SimKeptMarks.Union(resync.OwedRegions, marked) } };
            _owedChanged = Index + 1;
            _kept.Owed(Volume.Resync);
        }

        Commit();
    }

    private SortedSet<string> MayDoIo() => new(
        Members.Where(m => m.IsJoined && m.State is MemberPhase.Up or MemberPhase.Suspect).Select(m => m.Node), StringComparer.Ordinal);

    private void EndReturn(string leg)
    {
        foreach (var (barrier, returning) in _returning.ToArray())
        {
            if (returning == leg) EndBarrier(barrier);
        }
    }

    private void EndBarrier(ulong barrier)
    {
        _barriers.Remove(barrier);
        _returning.Remove(barrier);
    }

    /// <summary>The disk was repaired: its leg is copied to from the start.</summary>
    public void Replace(string leg)
    {
        if (_barriers.Count > 0 || Volume.Owner.TransferTo is not null) return;
        var legs = Volume.Legs.ToArray();
        var at = Array.FindIndex(legs, l => l.Name == leg);
        if (legs[at].State == LegState.LastErred) legs[at] = legs[at] with { State = LegState.Okay };
        else if (legs[at].State == LegState.Maintenance) legs[at] = legs[at] with { State = LegState.Resyncing };
        else return;
        Volume = Volume with { Legs = legs, Resync = new ResyncConfiguration(true, [], 0) };
        _kept.Owed(Volume.Resync);
        _owedChanged = Index + 1;
        Commit();
    }

    public void ResyncFinished(string node, ResyncFinishedReport report)
    {
        var owner = Volume.Owner;
        if (Volume.Resync is null || owner.Node != node || owner.Epoch != report.Epoch || report.Index < _owedChanged) return;
        if (Members.Exists(static member => member.IsMergeOwed) || _returning.Count > 0) return; // More may become owed.
        if (Volume.Legs.Any(leg => leg.State == LegState.Resyncing && !world.IsStamped(leg.Extents[0].Disk))) return;
        Volume = Volume with
        {
            Resync = null,
            Legs = Volume.Legs.Select(static leg => leg.State == LegState.Resyncing ? leg with { State = LegState.Okay } : leg).ToArray(),
        };
        Resyncs++;
        Commit();
    }

    public void ResyncProgressed(string node, ResyncProgressReport report)
    {
        var owner = Volume.Owner;
        if (Volume.Resync is not { IsEverythingOwed: true } resync || owner.Node != node || owner.Epoch != report.Epoch) return;
        if (report.Index < _owedChanged || report.PositionBytes <= resync.PositionBytes) return;
        Volume = Volume with { Resync = resync with { PositionBytes = report.PositionBytes } };
        Commit();
    }

    private bool IsOwnerUncertain()
    {
        // A dead owner's log is merged before anybody else may own (design §6.4).
        return Members.Exists(static member => member.IsMergeOwed);
    }

    private void Fence(string node, long now)
    {
        _mergeAtNs[node] = now + drawMergeNs();
        foreach (var (id, waiting) in _barriers.ToArray())
        {
            waiting.Remove(node);
            if (waiting.Count == 0) EndBarrier(id);
        }

        world.ProvenGone(node);
        var owner = Volume.Owner;
        if (owner.Node == node || owner.TransferTo == node)
        {
            // The old owner that drained under a cancelled transfer keeps it: it is alive and has not released.
            Volume = Volume with
            {
                Owner = owner.Node == node
                    ? new OwnerConfiguration(null, 0, owner.Epoch + 1, null)
                    : owner with { Epoch = owner.Epoch + 1, TransferTo = null },
            };
        }

        Set(Member(node) with { State = MemberPhase.Fenced });
    }

    private void Merge(string node)
    {
        Merges++;
        if (Volume.Recovery == RecoveryMode.App)
        {
            Volume = Volume with { IsReadPinned = true };
        }
        else if (Volume.Resync is not { IsEverythingOwed: true })
        {
            var regions = new SortedSet<long>(world.MarksOf(node));
            foreach (var run in Volume.Resync?.OwedRegions ?? [])
            {
                for (var region = run.Start; region < run.End; region++) regions.Add(region);
            }

            if (regions.Count > 0)
            {
                Volume = Volume with
                {
                    Resync = new ResyncConfiguration(false, regions.Select(static region => new ByteRange(region, 1)).ToArray(), 0),
                };
            }
        }
        else
        {
            // What the position covers may differ again where the victim wrote.
            Volume = Volume with { Resync = Volume.Resync with { PositionBytes = 0 } };
        }

        _owedChanged = Index + 1;
        _kept.Owed(Volume.Resync);
        Set(Member(node) with { IsMergeOwed = false });
    }

    private void SetOwner(string node, ulong incarnation)
    {
        Volume = Volume with { Owner = new OwnerConfiguration(node, incarnation, Volume.Owner.Epoch + 1, null) };
        Commit();
    }

    private void Set(MemberConfiguration member)
    {
        Members[Members.FindIndex(entry => entry.Node == member.Node)] = member;
        Commit();
    }
}
