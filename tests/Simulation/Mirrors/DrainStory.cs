using RaftMirror.DataPlane.Configuration;
using RaftMirror.DataPlane.Devices;
using RaftMirror.DataPlane.Leases.Core;
using RaftMirror.DataPlane.Mirroring.Core;
using RaftMirror.Primitives;

namespace RaftMirror.Simulation.Mirrors;

/// <summary>What happens around a node that takes its set out of service.</summary>
internal enum DrainStep
{
    /// <summary>It drains from here on.</summary>
    Leave,

    /// <summary>The disk that does not answer is committed as lost; the others wait for this node's word.</summary>
    DiskLost,

    /// <summary>Another node wants the ownership.</summary>
    Transfer,

    /// <summary>Another node has a new client, and asks for the end of older writes.</summary>
    DrainRequest,

    /// <summary>Another node asks which older writes there are.</summary>
    OrderQuestion,

    /// <summary>The other disk answers.</summary>
    DiskAnswers,
}

/// <summary>A node drains while a write waits for a disk that hangs: all orders of what else concerns the set, on the real core. Until the leave is
/// committed the others count on the node, so it must hear and answer all of that; and its disks are closed once it has drained (design §14.1,
/// §14.9, §14.20).</summary>
internal sealed class DrainStory(WriterMode writers, RecoveryMode recovery, bool hasWrite, MirrorFaults faults)
{
    private const long Ms = 1_000_000;
    private const long Bytes = 8 << 20;
    private readonly MirrorCore _core = new("a", 1, 1, new MirrorOptions(), faults);
    private readonly List<MirrorEffect> _held = []; // Calls to the other disk that are not answered yet.
    private readonly List<MirrorEffect> _hanging = [];
    private readonly List<MirrorEffect> _seen = [];
    private long _now = Ms;
    private ulong _index;
    private bool _isLost;
    private bool _isBarrier;
    private bool _isTransfer;
    private bool _doesAnswer = true;
    private bool _isDrained;
    private string? _broken;

    /// <summary>All orders.</summary>
    public static IEnumerable<DrainStep[]> Orders() => Permute([], Enum.GetValues<DrainStep>());

    /// <summary>One order.</summary>
    /// <returns>What was broken, or null.</returns>
    public string? Run(IEnumerable<DrainStep> steps)
    {
        Configure();
        _core.LogOpened(_now);
        CarryOut();
        Renew();
        _doesAnswer = false;
        if (hasWrite) _core.Submit(_now, new MirrorRequest(10, RequestKind.Write, new ByteRange(0, 4096), 0));
        CarryOut();
        foreach (var step in steps)
        {
            _now += 10 * Ms;
            Do(step);
            CarryOut();
        }

        for (var round = 0; round < 40; round++)
        {
            _now += 100 * Ms;
            Renew();
            _core.Tick(_now);
            CarryOut();
        }

        return _broken ?? Missing();
    }

    private void Do(DrainStep step)
    {
        switch (step)
        {
            case DrainStep.Leave:
                _core.Shutdown(_now);
                break;
            case DrainStep.DiskLost:
                (_isLost, _isBarrier) = (true, true);
                Configure();
                break;
            case DrainStep.Transfer:
                _isTransfer = true;
                Configure();
                break;
            case DrainStep.DrainRequest:
                _core.PeerMessageReceived(_now, "b", new PeerMessage(PeerMessageKind.DrainRequest, 1, 1, 1, Sequence: 5));
                break;
            case DrainStep.OrderQuestion:
                _core.PeerMessageReceived(_now, "b", new PeerMessage(PeerMessageKind.OrderQuestion, 1, 1, 1, 1, (ulong)_now, Index: 1));
                break;
            default:
                _doesAnswer = true;
                foreach (var call in _held.ToArray()) Answer(call, DeviceStatus.Ok);
                _held.Clear();
                break;
        }
    }

    private string? Missing()
    {
        if (!_isDrained) return "the drain has not ended, although the disk is lost";
        if (!Has(EffectKind.ConfirmBarrier)) return "the loss of the disk is not confirmed";
        if (!Sent(PeerMessageKind.DrainDone)) return "another node's new client waits for an answer";
        if (!Sent(PeerMessageKind.OrderAnswer)) return "another node's write waits for an answer";
        // What is left unclean is not given away: the node stays, or its log is merged.
        return Has(EffectKind.Released) || !_core.EndedClean ? null : "the ownership is not given away";
    }

    private bool Has(EffectKind kind) => _seen.Exists(effect => effect.Kind == kind);

    private bool Sent(PeerMessageKind kind) => _seen.Exists(effect => effect.Payload is PeerMessage message && message.Kind == kind);

    private void Renew()
    {
        _core.LeaseGranted(_now, new LeaseGrant(_now, 2000 * Ms, _index, 1, 1));
        CarryOut();
    }

    private void Configure()
    {
        var volume = new VolumeConfiguration(
            1, "s/v", Bytes, 1 << 20, recovery, writers, ReadPolicy.RoundRobin,
            [
                new LegConfiguration("l0", LegState.Okay, [new ExtentConfiguration("d0", 0, 0, Bytes)]),
                new LegConfiguration("l1", _isLost ? LegState.Offline : LegState.Okay, [new ExtentConfiguration("d1", 0, 0, Bytes)]),
            ],
            new OwnerConfiguration("a", 1, _isTransfer ? 3UL : 2UL, _isTransfer ? "b" : null), null, false,
            _isBarrier ? [new BarrierConfiguration(77, BarrierKind.LegLoss, true)] : []);
        MemberConfiguration[] members = [new("a", 0, 1, MemberPhase.Up, true, false), new("b", 1, 1, MemberPhase.Up, true, false)];
        _core.ConfigurationChanged(_now, new VolumeView(++_index, "a", members, volume));
    }

    /// <summary>The shell's part.</summary>
    private void CarryOut()
    {
        while (_core.Effects.Count > 0)
        {
            var effects = _core.Effects.ToArray();
            _core.Effects.Clear();
            _seen.AddRange(effects);
            foreach (var effect in effects) CarryOut(effect);
        }
    }

    private void CarryOut(MirrorEffect effect)
    {
        switch (effect.Kind)
        {
            case EffectKind.AppendMarks:
                if (_isDrained) _broken ??= "a mark is appended to a log that is closed";
                _core.MarksAppended(_now, effect.Id, isDurable: true);
                break;
            case EffectKind.LegRead or EffectKind.LegWrite or EffectKind.LegZero or EffectKind.LegFlush:
                if (_isDrained) _broken ??= $"{effect.Kind} on {effect.Name}, whose device is closed";
                if (effect.Name == "d1") _hanging.Add(effect);
                else if (_doesAnswer) Answer(effect, DeviceStatus.Ok);
                else _held.Add(effect);
                break;
            case EffectKind.GiveUp:
                foreach (var call in _hanging.Where(call => call.Id == effect.Id && call.Leg == effect.Leg).ToArray())
                {
                    _hanging.Remove(call);
                    Answer(call, DeviceStatus.Unreachable);
                }

                break;
            case EffectKind.ConfirmBarrier when _isBarrier:
                _isBarrier = false; // Nobody else is waited for.
                Configure();
                break;
            case EffectKind.Drained:
                _isDrained = true;
                break;
        }
    }

    private void Answer(MirrorEffect call, DeviceStatus status) => _core.IoCompleted(_now, call.Id, call.Leg, status, call.Name!);

    private static IEnumerable<DrainStep[]> Permute(DrainStep[] done, DrainStep[] left) => left.Length == 0
        ? [done]
        : left.SelectMany(next => Permute([.. done, next], [.. left.Where(step => step != next)]));
}
