using System.Collections.Concurrent;
using RaftMirror.DataPlane.Devices;
using RaftMirror.DataPlane.DirtyRegions.Core;
using RaftMirror.DataPlane.DiskIo;
using RaftMirror.DataPlane.Exports;
using RaftMirror.DataPlane.Leases.Core;
using RaftMirror.DataPlane.Mirroring.Core;
using RaftMirror.Primitives;

namespace RaftMirror.DataPlane.Mirroring.Shell;

/// <summary>A volume as clients attach it: the shell around its core. Inputs go to a mailbox; whoever posts to an idle one
/// drains it, so the core has one owning thread at a time and a request costs no thread switch but that of its device calls.
/// Public members: any thread.</summary>
#pragma warning disable CA1001 // The semaphore's wait handle is never asked for, so there is nothing to free.
internal sealed class MirrorVolume : IExport
#pragma warning restore CA1001
{
    /// <summary>How long status shows after the last such answer that clients are told that there is no space.</summary>
    private const long FullShownNs = 30_000_000_000;

    /// <summary>So often the mailbox may deny an input, with about a millisecond between most of them.</summary>
    private const int MaxDenials = 30_000;

    private readonly ConcurrentQueue<Input> _mailbox = new();
    private readonly ConcurrentBag<PendingRequest> _pool = [];
    private readonly Stack<LegCall> _callPool = new();
    private readonly List<LegCall> _calls = []; // In a queue or with a disk, and not given up.
    private readonly Dictionary<ulong, RangeCopy> _copies = [];
    private readonly Dictionary<ulong, RangeEvening> _evenings = [];
    private readonly Dictionary<ulong, PendingRequest> _pending = [];
    private readonly List<MirrorSession> _sessions = [];
    private readonly List<MirrorRequest> _atDoor = []; // Handed over by their connections, not posted yet. Under its own lock.
    private readonly List<TaskCompletionSource> _quiet = [];
    private readonly SemaphoreSlim _door;
    private readonly TaskCompletionSource _drained = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly MirrorCore _core;
    private readonly IVolumeHost _host;
    private ExportInfo _info;
    private VolumeStatistics? _statistics;
    private Task _lastAppend = Task.CompletedTask;
    private long _leaseExpiresNs;
    private int _service; // A ServiceState.
    private long _resyncSinceNs;
    private long _resyncStartBytes;
    private ulong _nextRequest = 1;
    private uint _nextSession = 1;
    private int _posted;
    private string? _dropReason;

    public MirrorVolume(MirrorCore core, ExportInfo info, IVolumeHost host, MirrorOptions options)
    {
        _core = core;
        _info = info;
        _host = host;
        _door = new SemaphoreSlim(options.MaxRequests, options.MaxRequests);
    }

    public ExportInfo Info => Volatile.Read(ref _info);

    public uint Number => _core.Number;

    /// <summary>Why the volume is not served at this moment, for people; null if it is.</summary>
    public string? NotServed
    {
        get
        {
            var service = (ServiceState)Volatile.Read(ref _service);
            return service == ServiceState.Serving && !HasLease() ? Describe(ServiceState.NoLease) : Describe(service);
        }
    }

    /// <summary>Figures as of the last tick; null before the first.</summary>
    public VolumeStatistics? Statistics => Volatile.Read(ref _statistics);

    /// <summary>Ends when a shutdown has drained.</summary>
    public Task Drained => _drained.Task;

    /// <summary>True if the shutdown left nothing to be merged or repaired; meaningful after <see cref="Drained"/>.</summary>
    public bool EndedClean => _core.EndedClean;

    /// <summary>Ends when every append to the dirty log has been answered; meaningful after <see cref="Drained"/>.</summary>
    public Task AppendsEnded => Volatile.Read(ref _lastAppend);

    /// <summary>The dirty log is lost: no write is submitted until another is open.</summary>
    /// <returns>Ends when the writes that were under way have ended.</returns>
    public Task LoseLog()
    {
        var quiet = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        Post(new Input(InputKind.LogLost, Payload: quiet));
        return quiet.Task;
    }

    public IExportSession Open(string client) => OpenSession(client, null);

    public IExportSession Open(string client, IIntake intake) => OpenSession(client, intake);

    private MirrorSession OpenSession(string client, IIntake? intake)
    {
        MirrorSession session;
        bool isDropped;
        lock (_sessions)
        {
            session = new MirrorSession(this, _nextSession++, client, intake);
            _sessions.Add(session);
            isDropped = _dropReason is not null;
        }

        Post(new Input(InputKind.SessionOpened, Id: session.Number, AtNs: _host.NowNs));
        if (isDropped) session.Drop();
        return session;
    }

    public void Close(MirrorSession session)
    {
        lock (_sessions) _sessions.Remove(session);
        Post(new Input(InputKind.SessionClosed, Id: session.Number));
    }

    /// <summary>The client closed its side of a connection.</summary>
    public void HungUp(MirrorSession session) => Post(new Input(InputKind.SessionHungUp, Id: session.Number));

    /// <summary>Time passed.</summary>
    public void Tick() => Post(new Input(InputKind.Tick, Sample: Sample()));

    /// <summary>A message of this volume's core on another node.</summary>
    public void Receive(string from, PeerMessage message)
    {
        var sample = message.Kind is PeerMessageKind.OrderQuestion or PeerMessageKind.DrainRequest ? Sample() : null;
        Post(new Input(InputKind.Message, Disk: from, Payload: message, Sample: sample));
    }

    public ValueTask<IoStatus> SubmitAsync(MirrorRequest request, Memory<byte> buffer, IReadBuffer? owner = null)
    {
        if (!_door.Wait(0)) return SubmitLaterAsync(request, buffer, owner);
        return SubmitNow(request, buffer, owner);
    }

    public void Return(PendingRequest request)
    {
        _door.Release();
        _pool.Add(request);
    }

    public void Post(in Input input)
    {
        _mailbox.Enqueue(input);
        if (Interlocked.Increment(ref _posted) == 1) Drain();
    }

    /// <summary>A device call has come back. A thread of the disk.</summary>
    public void CallEnded(LegCall call, DeviceStatus status) => Post(new Input(InputKind.IoCompleted, Status: status, Payload: call));

    /// <summary>A copy has ended. Any thread.</summary>
    public void CopyEnded(RangeCopy copy, CopyResult result) => Post(new Input(InputKind.CopyCompleted, Id: copy.Id, Payload: result));

    /// <summary>An evening out has ended. Any thread.</summary>
    public void EveningEnded(RangeEvening evening, CopyResult result) => Post(new Input(InputKind.EvenedOut, Id: evening.Id, Payload: result));

    /// <summary>Asked before each device call. Any thread.</summary>
    public bool HasLease() => _host.NowNs < Volatile.Read(ref _leaseExpiresNs);

    private async ValueTask<IoStatus> SubmitLaterAsync(MirrorRequest request, Memory<byte> buffer, IReadBuffer? owner)
    {
        lock (_atDoor) _atDoor.Add(request);
        await _door.WaitAsync().ConfigureAwait(false);
        var submitted = SubmitNow(request, buffer, owner);
        lock (_atDoor) _atDoor.Remove(request);
        return await submitted.ConfigureAwait(false);
    }

    /// <summary>Looks at the connections. To be posted after it was taken: what a connection had handed over by then stands before it in the
    /// mailbox, which is what makes its floors true for the core.</summary>
    private IntakeSample? Sample()
    {
        var taken = _host.NowNs;
        MirrorSession[] sessions;
        lock (_sessions)
        {
            if (_sessions.Count == 0) return null;
            sessions = _sessions.ToArray();
        }

        var floors = new (uint Session, long FloorNs)[sessions.Length];
        for (var i = 0; i < floors.Length; i++) floors[i] = (sessions[i].Number, sessions[i].FloorNs(taken));
        lock (_atDoor) // After the connections: what they had handed over by then waits here, or is posted.
        {
            foreach (var request in _atDoor)
            {
                var i = Array.FindIndex(floors, floor => floor.Session == request.Session);
                if (i >= 0 && request.ToNs != 0) floors[i].FloorNs = Math.Min(floors[i].FloorNs, request.FromNs);
            }
        }

        return new IntakeSample(taken, floors);
    }

    private ValueTask<IoStatus> SubmitNow(MirrorRequest request, Memory<byte> buffer, IReadBuffer? owner)
    {
        if (!_pool.TryTake(out var pending)) pending = new PendingRequest(this);
        pending.Begin(request, buffer, owner);
        var task = pending.Task;
        Post(new Input(InputKind.Request, Payload: pending));
        return task;
    }

    private void Drain()
    {
        try
        {
            do
            {
                Apply(Take());
                Volatile.Write(ref _leaseExpiresNs, _core.LeaseExpiresNs);
                CarryOut();
                TellService();
                if (_quiet.Count > 0) TellQuiet();
            }
            while (Interlocked.Decrement(ref _posted) > 0);
        }
#pragma warning disable CA1031 // A core that threw may not go on: _posted stays up, so nothing enters it again.
        catch (Exception exception)
#pragma warning restore CA1031
        {
            _host.Fatal(exception);
        }
    }

    /// <summary>Takes an input that was counted, and therefore is in the mailbox. The mailbox may deny it for a moment: while one thread makes it
    /// larger (its segment counts as frozen before its end is moved) and another has reserved the place before and not filled it.</summary>
    private Input Take()
    {
        Input input;
        for (var wait = default(SpinWait); !_mailbox.TryDequeue(out input); wait.SpinOnce())
            Primitives.Invariant.Require(wait.Count < MaxDenials, "Each count has its input.");
        return input;
    }

    private void Apply(in Input input)
    {
        var now = _host.NowNs;
        if (input.Sample is { } sample) _core.Sampled(now, sample);
        switch (input.Kind)
        {
            case InputKind.Request:
                var pending = (PendingRequest)input.Payload!;
                pending.Request = pending.Request with { Id = _nextRequest++ };
                _pending.Add(pending.Request.Id, pending);
                _core.Submit(now, pending.Request);
                break;
            case InputKind.IoCompleted:
                var call = (LegCall)input.Payload!;
                var (made, isLeaseLost, errno, space) = (call.Effect, call.IsLeaseLost, call.Errno, call.Space);
                Forget(call);
                if (!input.IsFlagged) _callPool.Push(call); // One that was given up stays with its thread.
                _core.IoCompleted(now, made.Id, made.Leg, input.Status, made.Name!, isLeaseLost, errno, space,
                    made.Kind == EffectKind.LegFlush ? default : made.Range);
                break;
            case InputKind.EvenedOut:
                _evenings.Remove(input.Id);
                _core.EvenedOut(now, input.Id, (CopyResult)input.Payload!);
                break;
            case InputKind.CopyCompleted:
                _copies.Remove(input.Id);
                _core.CopyCompleted(now, input.Id, (CopyResult)input.Payload!);
                break;
            case InputKind.MarksAppended:
                _core.MarksAppended(now, input.Id, input.IsFlagged);
                break;
            case InputKind.Configuration:
                _core.ConfigurationChanged(now, (VolumeView)input.Payload!);
                break;
            case InputKind.EnactedUpTo:
                _core.EnactedUpTo(now, input.Id);
                break;
            case InputKind.Lease:
                _core.LeaseGranted(now, (LeaseGrant)input.Payload!);
                break;
            case InputKind.Message:
                _core.PeerMessageReceived(now, input.Disk!, (PeerMessage)input.Payload!);
                break;
            case InputKind.SessionOpened:
                _core.SessionOpened(now, (uint)input.Id, input.AtNs);
                break;
            case InputKind.SessionClosed:
                _core.SessionClosed(now, (uint)input.Id);
                break;
            case InputKind.SessionHungUp:
                _core.SessionHungUp(now, (uint)input.Id);
                break;
            case InputKind.LogOpened:
                _core.LogOpened(now);
                break;
            case InputKind.LogLost:
                _core.LogLost(now);
                if (input.Payload is TaskCompletionSource quiet) _quiet.Add(quiet);
                break;
            case InputKind.Removed:
                _core.Removed(now);
                break;
            case InputKind.Shutdown:
                _core.Shutdown(now);
                break;
            default:
                _core.Tick(now);
                Publish(now);
                break;
        }
    }

    private static string? Describe(ServiceState service) => service switch
    {
        ServiceState.Serving => null,
        ServiceState.Ended => "the volume is being taken out of service on this node",
        ServiceState.NotJoined => "this node has not joined the volume's disk set",
        ServiceState.NoLease => "this node has no lease from the leader",
        ServiceState.NoLog => "this node's dirty log is not open",
        ServiceState.MergeOwed => "what a lost node wrote last is not merged",
        ServiceState.WindowsUnknown => "the node that runs the resync has not told what it copies",
        ServiceState.NoLeg => "no submirror can be read",
        ServiceState.NoDisk => "a disk that it needs is lost or cannot be used on this node; see raftmirror status",
        _ => "this node has just begun with the volume",
    };

    private void TellService()
    {
        var service = (int)_core.Service;
        if (Volatile.Read(ref _service) == service) return;
        Volatile.Write(ref _service, service);
        _host.ServiceChanged();
    }

    private void Admit(uint number)
    {
        lock (_sessions) _sessions.Find(session => session.Number == number)?.Admit();
    }

    private void TellQuiet()
    {
        if (!_core.IsWriteQuiet) return;
        foreach (var quiet in _quiet) quiet.TrySetResult();
        _quiet.Clear();
    }

    private void CarryOut()
    {
        var effects = _core.Effects;
        for (var i = 0; i < effects.Count; i++) CarryOut(effects[i]);
        effects.Clear();
    }

    private void CarryOut(in MirrorEffect effect)
    {
        switch (effect.Kind)
        {
            case EffectKind.LegRead or EffectKind.LegWrite or EffectKind.LegZero or EffectKind.LegFlush:
                Call(effect);
                break;
            case EffectKind.Copy:
                var copy = new RangeCopy(this, effect.Id, (CopyPlan)effect.Payload!, _host.FindDisk);
                _copies.Add(effect.Id, copy);
                copy.Start();
                break;
            case EffectKind.EvenOut:
                var evening = new RangeEvening(this, effect.Id, (EvenOutPlan)effect.Payload!, _host.FindDisk);
                _evenings.Add(effect.Id, evening);
                evening.Start();
                break;
            case EffectKind.GiveUp:
                GiveUp(effect);
                break;
            case EffectKind.AppendMarks:
                Append(effect.Id, (RegionUpdate[])effect.Payload!);
                break;
            case EffectKind.Reply:
                _pending.Remove(effect.Id, out var request);
                request!.Complete(effect.Status);
                break;
            case EffectKind.Send:
                _host.Peers.Send(effect.Name!, PeerMessageCodec.Encode((PeerMessage)effect.Payload!));
                break;
            case EffectKind.DropClients:
                DropClients(effect.Name!);
                break;
            case EffectKind.SessionAdmitted:
                Admit((uint)effect.Id);
                break;
            case EffectKind.Drained:
                _drained.TrySetResult();
                break;
            default:
                Report(effect);
                break;
        }
    }

    private void Report(in MirrorEffect effect)
    {
        var reports = _host.Reports;
        switch (effect.Kind)
        {
            case EffectKind.RequestOwnership:
                reports.RequestOwnership(Number, effect.Id);
                break;
            case EffectKind.Released:
                reports.Released(Number, (ReleaseReport)effect.Payload!);
                break;
            case EffectKind.LegFailed:
                reports.LegFailed(Number, (LegFailureReport)effect.Payload!);
                break;
            case EffectKind.ConfirmBarrier:
                reports.BarrierConfirmed(Number, effect.Id, effect.Payload as IReadOnlyList<Primitives.ByteRange> ?? []);
                break;
            case EffectKind.ResyncProgressed:
                reports.ResyncProgressed(Number, (ResyncProgressReport)effect.Payload!);
                break;
            case EffectKind.ResyncFinished:
                reports.ResyncFinished(Number, (ResyncFinishedReport)effect.Payload!);
                break;
            case EffectKind.Fenced:
                reports.Fenced(effect.Name!);
                break;
        }
    }

    private void Call(in MirrorEffect effect)
    {
        var buffer = effect.Request == 0 ? default : _pending[effect.Request].BufferFor(effect.Kind);
        if (!_callPool.TryPop(out var call)) call = new LegCall(this);
        call.Prepare(effect, buffer);
        call.Index = _calls.Count;
        _calls.Add(call);
        if (_host.FindDisk(effect.Name!) is { } port) port.Enqueue(call);
        else DiskPort.Refuse(call);
    }

    /// <summary>Nobody waits any longer for calls of one operation to one leg, which is lost: the core hears that they failed, and what
    /// they still do in the kernel touches neither another leg nor memory that is used again.</summary>
    private void GiveUp(in MirrorEffect effect)
    {
        if (_copies.TryGetValue(effect.Id, out var copy))
        {
            copy.Abandon(effect.Leg);
            return;
        }

        if (_evenings.TryGetValue(effect.Id, out var evening))
        {
            evening.Abandon(effect.Leg);
            return;
        }

        for (var i = _calls.Count - 1; i >= 0; i--)
        {
            var call = _calls[i];
            if (call.Effect.Id != effect.Id || call.Effect.Leg != effect.Leg) continue;
            if (_host.FindDisk(call.Effect.Name!) is not { } port || !port.GiveUp(call)) continue; // It has ended, and says so.
            if (call.Effect.Kind == EffectKind.LegRead && _pending.TryGetValue(call.Effect.Request, out var reader)) reader.LoseBuffer();
            Post(new Input(InputKind.IoCompleted, Status: DeviceStatus.Unreachable, Payload: call, IsFlagged: true));
        }
    }

    private void Forget(LegCall call)
    {
        var last = _calls[^1];
        _calls[call.Index] = last;
        last.Index = call.Index;
        _calls.RemoveAt(_calls.Count - 1);
    }

    private void Append(ulong token, RegionUpdate[] updates)
    {
        // The appends begin in order here; their answers are passed on in the same order.
        _lastAppend = AppendAsync(_lastAppend, _host.AppendAsync(updates), token);
    }

    private async Task AppendAsync(Task previous, ValueTask<bool> append, ulong token)
    {
        var isDurable = await append.ConfigureAwait(false);
        await previous.ConfigureAwait(false);
        Post(new Input(InputKind.MarksAppended, Id: token, IsFlagged: isDurable));
    }

    private void DropClients(string reason)
    {
        MirrorSession[] sessions;
        lock (_sessions)
        {
            _dropReason = reason;
            sessions = _sessions.ToArray();
        }

        foreach (var session in sessions) session.Drop();
    }

    private void Publish(long now)
    {
        var resync = _core.Resync;
        ResyncStatistics? running = null;
        if (_core.Role == OwnerRole.Serving && !resync.Owed.IsEmpty)
        {
            if (_resyncSinceNs == 0) (_resyncSinceNs, _resyncStartBytes) = (now, resync.DoneBytes);
            var seconds = Math.Max((now - _resyncSinceNs) / 1e9, 0.001);
            var rate = (long)(Math.Max(0, resync.DoneBytes - _resyncStartBytes) / seconds);
            running = new ResyncStatistics(
                resync.IsEverything ? "submirror" : "optimized", resync.DoneBytes, resync.TotalBytes, rate,
                rate > 0 ? resync.Owed.TotalBytes / rate : null);
        }
        else
        {
            _resyncSinceNs = 0;
        }

        var stale = _core.RegionBytes == 0 ? 0 : (resync.Owed.TotalBytes + _core.RegionBytes - 1) / _core.RegionBytes;
        Volatile.Write(ref _statistics, new VolumeStatistics(
            Number, Info.Name, _core.RegionBytes, _core.Tracker?.MarkedCount ?? 0, stale, _core.SessionCount, _core.RequestCount, running)
        {
            Full = _core.LastNoSpace is { } full && now - full.AtNs < FullShownNs ? $"{full.Disks}: {ErrnoText.Of(full.Errno)}" : null,
            Held = _core.OldestHeld(now) is { } held ? new VolumeHold(held.Reason, held.On, held.AgeNs / 1_000_000, held.Requests) : null,
            Wait = _core.OldestWait(now) is { } wait ? new VolumeWait(wait.Leg, wait.Disk, wait.AgeNs / 1_000_000) : null,
        });
    }

    public void Describe(ExportInfo info) => Volatile.Write(ref _info, info);

    internal enum InputKind
    {
        Tick,
        Request,
        IoCompleted,
        CopyCompleted,
        EvenedOut,
        MarksAppended,
        Configuration,
        EnactedUpTo,
        Lease,
        Message,
        SessionOpened,
        SessionClosed,
        SessionHungUp,
        LogOpened,
        LogLost,
        Removed,
        Shutdown,
    }

    internal readonly record struct Input(
        InputKind Kind,
        ulong Id = 0,
        int Leg = 0,
        DeviceStatus Status = DeviceStatus.Ok,
        string? Disk = null,
        object? Payload = null,
        bool IsFlagged = false,
        long AtNs = 0,
        IntakeSample? Sample = null);
}

/// <summary>What a volume's shell uses of its set. Any thread.</summary>
internal interface IVolumeHost
{
    long NowNs { get; }

    IVolumeReports Reports { get; }

    IPeerMessages Peers { get; }

    /// <summary>The disk's queue; null if the configuration does not know it.</summary>
    DiskPort? FindDisk(string name);

    ValueTask<bool> AppendAsync(RegionUpdate[] updates);

    /// <summary>A volume began or ceased to be served.</summary>
    void ServiceChanged();

    void Fatal(Exception exception);
}
