using RaftMirror.DataPlane.Configuration;
using RaftMirror.DataPlane.DirtyRegions.Core;
using RaftMirror.DataPlane.Exports;
using RaftMirror.DataPlane.Leases.Core;
using RaftMirror.Primitives;

namespace RaftMirror.DataPlane.Mirroring.Core;

/// <summary>One volume on one node: decides which leg I/O may be submitted and when a client may be told that its request is done.
/// Input in, effects out; no clock, task or device. One owning thread at a time.
/// <para>A write waits, holding nothing, until the lease runs, this node may write (owner, or a volume that all write), and no
/// window covers it; then takes the range lock and counts into its regions, waits for durable marks, checks everything once more, goes
/// to every writable leg, and is acknowledged when the committed configuration knows no readable leg without it.</para></summary>
internal sealed partial class MirrorCore
{
    private readonly string _self;
    private readonly ulong _incarnation;
    private readonly MirrorOptions _options;
    private readonly NodeLease _lease;
    private readonly List<MirrorEffect> _effects = [];
    private readonly Dictionary<ulong, Operation> _operations = [];
    private readonly List<Operation> _waiting = [];
    private readonly List<Operation> _locks = [];
    private readonly Stack<Operation> _pool = new();
    private readonly LegReturns _returns = new();
    private VolumeView? _view;
    private ulong _nextOperation = 1;
    private long _now;
    private bool _reconsider;
    private bool _isShutDown;
    private bool _isDeleted;
    private bool _isGone;

    public MirrorCore(string self, ulong incarnation, uint number, MirrorOptions options, MirrorFaults faults = MirrorFaults.None)
    {
        _self = self;
        _incarnation = incarnation;
        _options = options;
        _lease = new NodeLease(incarnation);
        _order = new GivenUpWrites(options) { Faults = faults };
        Faults = faults;
        Number = number;
    }

    /// <summary>The volume's number.</summary>
    public uint Number { get; }

    /// <summary>What was decided since it was last cleared; the shell carries it out in order.</summary>
    public List<MirrorEffect> Effects => _effects;

    /// <summary>Test hooks.</summary>
    public MirrorFaults Faults { get; }

    /// <summary>First instant without a lease, ns; the I/O path checks it before each device call.</summary>
    public long LeaseExpiresNs => _lease.ExpiresNs;

    /// <summary>The dirty regions; null for volumes without a dirty log.</summary>
    public RegionTracker? Tracker { get; private set; }

    /// <summary>Region size; 0 before the first configuration.</summary>
    public int RegionBytes => _view?.Volume.RegionBytes ?? 0;

    /// <summary>Client requests that are not answered.</summary>
    public int RequestCount { get; private set; }

    private VolumeConfiguration Volume => _view!.Volume;

    private bool IsLogged => Volume.Recovery == RecoveryMode.Log;

    /// <summary>A bug that was one: whoever drained heard nothing any more, though the others went on waiting for its word.</summary>
    private bool IsDeaf => _isShutDown && Has(MirrorFaults.DeafWhileDraining);

    private bool HasLease => _lease.IsActive(_now) || Has(MirrorFaults.IgnoreLease);

    /// <summary>A client's request. Range, alignment and flags were checked.</summary>
    public void Submit(long now, MirrorRequest request)
    {
        _now = now;
        var operation = NewOperation(request.Kind, request.Range);
        operation.RequestId = request.Id;
        operation.Session = request.Session;
        operation.IsForced = request.IsForced;
        operation.MayUnmap = request.MayUnmap;
        RequestCount++;
        NoteArrival(operation, request);
        Step(operation);
        Finish(isRequest: true);
    }

    /// <summary>A committed configuration, in log order.</summary>
    public void ConfigurationChanged(long now, VolumeView view)
    {
        _now = now;
        if (IsDeaf) return;
        var old = _view;
        if (old is not null && view.Index < old.Index) return;
        var wasJoined = old is not null && IsJoined;
        _view = view;
        if (old is null && IsLogged) Tracker = new RegionTracker(Number, Volume.SizeBytes, Volume.RegionBytes);
        if (Tracker is not null && Volume.SizeBytes > Tracker.SizeBytes) Tracker.Grow(Volume.SizeBytes);
        var self = FindMember(_self);
        var isGone = self is { State: MemberPhase.Fenced or MemberPhase.Down } && self.Incarnation == _incarnation;
        if (isGone || self?.Incarnation > _incarnation)
        {
            FenceSelf(null);
        }

        ApplyLegs(old);
        ForgetReadFailures(old);
        EndIfTornByOwnPath();
        if (!Has(MirrorFaults.ForgetMarksOnReturn)) _returns.Configured(Volume.Barriers, Tracker);
        else _returns.Configured(Volume.Barriers, null);
        GiveUpLostLegs();
        ApplyOwner();
        ApplyResync(old);
        ApplyWindows();
        ApplyBarriers();
        ApplyOrder(wasJoined);
        if (!wasJoined && IsJoined) DropFromBeforeJoining();
        ResolveAll();
        _lease.Enacted(view.Index);
        _reconsider = true;
        Finish();
    }

    /// <summary>Nothing up to <paramref name="index"/> changes this volume beyond what was given.</summary>
    public void EnactedUpTo(long now, ulong index)
    {
        _now = now;
        if (IsDeaf) return;
        _lease.Enacted(index);
        _reconsider = true;
        Finish();
    }

    /// <summary>The set no longer has the volume: its I/O ends, its clients go.</summary>
    public void Removed(long now)
    {
        _now = now;
        _isGone = true;
        Emit(new MirrorEffect(EffectKind.DropClients, Name: "the volume is gone"));
        DropAll();
        Finish();
    }

    /// <summary>A lease came.</summary>
    public void LeaseGranted(long now, LeaseGrant grant)
    {
        _now = now;
        if (IsDeaf) return;
        _lease.Grant(grant);
        _reconsider = true;
        Finish();
    }

    /// <summary>Time passed: repeats what had no effect, ends what waited too long, cleans.</summary>
    public void Tick(long now)
    {
        _now = now;
        if (_view is not null)
        {
            RepeatReports();
            RepeatMessages();
            ResolveAll(); // A lease may have ended, or come back, since they were looked at.
            DetachOverdue();
            StepCleaning();
            StepResyncPosition();
        }

        _reconsider = true;
        Finish();
    }

    /// <summary>Clean stop: refuse what comes, drain, flush, clean; answered by the Drained effect.</summary>
    public void Shutdown(long now)
    {
        _now = now;
        _isShutDown = true;
        Emit(new MirrorEffect(EffectKind.DropClients, Name: "the node stops"));
        _reconsider = true;
        Finish();
    }

    /// <param name="isRequest">The input was a client's request or the end of its I/O, which changes nothing about service.</param>
    private void Finish(bool isRequest = false)
    {
        // Bounded: each pass either admits, ends or moves something, or stops asking for another.
        for (var pass = 0; _reconsider && pass < 64; pass++)
        {
            _reconsider = false;
            StepOwnership();
            StepResync();
            StepRepairs();
            StepShutdown();
            Reconsider();
            StepDrains();
            StepWindowConfirmations();
            StepBarriers();
            TakeMarks();
        }

        TakeMarks();
        AskForOlder();
        if (!isRequest || _unadmitted > 0) StepService();
    }

    private void Reconsider()
    {
        var count = _waiting.Count;
        for (var i = 0; i < count; i++)
        {
            if (_waiting[i].State == OperationState.Waiting) Step(_waiting[i]);
        }

        var kept = 0;
        for (var i = 0; i < _waiting.Count; i++)
        {
            var operation = _waiting[i];
            if (operation.State == OperationState.Waiting)
            {
                _waiting[kept++] = operation;
                continue;
            }

            operation.IsListedWaiting = false;
            if (operation.State == OperationState.Ended) Recycle(operation);
        }

        _waiting.RemoveRange(kept, _waiting.Count - kept);
    }

    private void Step(Operation operation)
    {
        operation.WantsLock = false;
        if (!_operations.ContainsKey(operation.Id)) return;
        switch (operation.Kind)
        {
            case RequestKind.Read:
                StepRead(operation);
                break;
            case RequestKind.Flush:
                StepFlush(operation);
                break;
            case RequestKind.Copy:
                StepCopy(operation);
                break;
            case RequestKind.InternalFlush:
                break;
            default:
                StepWrite(operation);
                break;
        }
    }

    /// <summary>What every client request needs; true if it goes on.</summary>
    private bool MayServe(Operation operation)
    {
        if (_now >= operation.DeadlineNs) FenceIfTainted(operation);
        if (operation.State == OperationState.Ended) return false;
        if (_lease.IsFenced || _isDeleted || _isGone || _isShutDown || _now >= operation.DeadlineNs)
        {
            End(operation, IoStatus.Drop);
            return false;
        }

        if (_view is null || !HasLease || !IsJoined || Volume.WaitsFor is not null)
        {
            Park(operation);
            return false;
        }

        return true;
    }

    /// <summary>A write whose bound is over, and where some legs only have what an earlier try wrote: nobody but a merge makes them equal.</summary>
    private void FenceIfTainted(Operation operation)
    {
        if (operation.IsClientWrite && IsTainted(operation.Range)) FenceSelf("a write that stands on some legs only could not be completed");
    }

    private bool IsTainted(ByteRange range)
    {
        foreach (var (tainted, _) in _taints)
        {
            if (tainted.Overlaps(range)) return true;
        }

        return false;
    }

    private bool IsJoined => FindMember(_self) is { IsJoined: true } self && self.Incarnation == _incarnation;

    private void Park(Operation operation)
    {
        operation.State = OperationState.Waiting;
        if (operation.IsListedWaiting) return;
        operation.IsListedWaiting = true;
        _waiting.Add(operation);
    }

    private Operation NewOperation(RequestKind kind, ByteRange range)
    {
        var operation = _pool.Count > 0 ? _pool.Pop() : new Operation();
        operation.Reset();
        operation.Id = _nextOperation++;
        operation.Kind = kind;
        operation.Range = range;
        (operation.CameNs, operation.DeadlineNs) = (_now, _now + _options.ParkNs);
        _operations.Add(operation.Id, operation);
        return operation;
    }

    private void End(Operation operation, IoStatus status)
    {
        Invariant.Require(!operation.HasPhysicalIo, "A buffer is given back after its I/O ended.");
        Invariant.Require(!operation.HoldsLock && !operation.IsCounted, "An ended operation holds nothing.");
        operation.State = OperationState.Ended;
        _operations.Remove(operation.Id);
        if (IsOrdered(operation)) _order.Ended(_now, operation.Id);
        if (operation.Kind is not (RequestKind.Copy or RequestKind.InternalFlush) && !operation.IsDetached)
        {
            RequestCount--;
            Emit(new MirrorEffect(EffectKind.Reply, operation.RequestId, Status: status));
        }

        _reconsider = true;
        if (!operation.IsListedWaiting) Recycle(operation);
    }

    private void Recycle(Operation operation)
    {
        if (_pool.Count < _options.MaxRequests) _pool.Push(operation);
    }

    private MemberConfiguration? FindMember(string node)
    {
        if (_view is null) return null;
        foreach (var member in _view.Members)
        {
            if (member.Node == node) return member;
        }

        return null;
    }

    /// <summary>Another node that may have leg I/O under way: joined and not proven gone.</summary>
    private bool IsLivePeer(MemberConfiguration member) =>
        member.Node != _self && member is { IsJoined: true, State: MemberPhase.Up or MemberPhase.Suspect };

    private static string Refusal(string? disk) => $"disk '{disk}' refuses this node";

    private void FenceSelf(string? reason)
    {
        if (_lease.IsFenced) return;
        _lease.Fence();
        if (reason is not null) Emit(new MirrorEffect(EffectKind.Fenced, Name: reason));
        Emit(new MirrorEffect(EffectKind.DropClients, Name: "this incarnation is fenced"));
        DropAll();
    }

    /// <summary>Whatever has no leg I/O under way ends now, the rest when its leg I/O has ended.</summary>
    private void DropAll()
    {
        foreach (var operation in SortedOperations())
        {
            operation.MustDrop = true;
            if (operation.State == OperationState.Ended) continue;
            if (operation.HasPhysicalIo || operation.Kind is RequestKind.Copy or RequestKind.InternalFlush) continue;
            if (operation.State == OperationState.AwaitingLeg) Taint(operation);
            ReleaseHolds(operation);
            End(operation, IoStatus.Drop);
        }
    }

    /// <summary>What the core waits for, for a failed test or a support bundle.</summary>
    public string Describe()
    {
        var text = $"{_role} e{_roleEpoch} owed {_owed.TotalBytes} fenced {_lease.IsFenced} taints {_taints.Count} "
            + $"resync flush {_isResyncFlushUnderWay} finished {_finished is not null} retry {_copyRetryNs} copies {_copies.Count}";
        foreach (var operation in SortedOperations())
        {
            text += $" [{operation.Id} {operation.Kind} {operation.Range} {operation.State} pending {operation.PendingTotal}"
                + $" lock {operation.HoldsLock} listed {operation.IsListedWaiting}]";
        }

        return text;
    }

    // By id: a dictionary's order is no contract.
    private List<Operation> SortedOperations()
    {
        var list = new List<Operation>(_operations.Values);
        list.Sort(static (a, b) => a.Id.CompareTo(b.Id));
        return list;
    }

    private void Emit(in MirrorEffect effect) => _effects.Add(effect);

    private bool Has(MirrorFaults fault) => (Faults & fault) != 0;
}
