using RaftMirror.DataPlane.Configuration;
using RaftMirror.DataPlane.Devices;
using RaftMirror.DataPlane.DirtyRegions.Core;
using RaftMirror.DataPlane.Exports;
using RaftMirror.DataPlane.Leases.Core;
using RaftMirror.DataPlane.Mirroring.Core;
using RaftMirror.Primitives;
using Xunit;

namespace RaftMirror.DataPlane.Tests.Mirroring;

/// <summary>A leg is offline and comes back (design §14.5): what this node marked meanwhile is not cleared, and told.</summary>
public sealed class LegReturnTests
{
    private const long Ms = 1_000_000;
    private const int Region = 1 << 20;
    private readonly MirrorCore _core = new("a", 1, 1, new MirrorOptions { CleanNs = 10 * Ms, RepeatNs = 100 * Ms });
    private long _now = Ms;
    private ulong _index = 1;

    [Fact]
    public void Marks_LegOffline_AreKeptAndToldWhenItReturns()
    {
        Serve(LegState.Okay);
        WriteTo(2 * Region);
        Configure(LegState.Offline);
        WriteTo(5 * Region);
        Idle();
        Assert.Equal([2L, 5L], _core.Tracker!.MarkedRegions());

        var told = Configure(LegState.Resyncing, BarrierKind.LegReturn).Single(static e => e.Kind == EffectKind.ConfirmBarrier);
        Assert.Equal(77UL, told.Id);
        Assert.Equal([new ByteRange(2, 1), new ByteRange(5, 1)], (IReadOnlyList<ByteRange>)told.Payload!);
        // Only this node's log tells of them until that is committed: it is repeated, with what was marked then, and nothing is cleared.
        WriteTo(7 * Region);
        var repeated = Idle().Last(static e => e.Kind == EffectKind.ConfirmBarrier);
        Assert.Equal([new ByteRange(2, 1), new ByteRange(5, 1)], (IReadOnlyList<ByteRange>)repeated.Payload!);
        Assert.Equal([2L, 5L, 7L], _core.Tracker!.MarkedRegions());
        Configure(LegState.Resyncing);
        Idle();
        Assert.Empty(_core.Tracker!.MarkedRegions());
    }

    [Fact] // A log of an earlier core of this incarnation may hold marks that this one has never seen.
    public void Marks_NoLogIsOpen_AreNotTold()
    {
        Configure(LegState.Okay);
        Lease();
        Configure(LegState.Offline);
        Assert.DoesNotContain(Configure(LegState.Resyncing, BarrierKind.LegReturn), static e => e.Kind == EffectKind.ConfirmBarrier);
        _core.LogOpened(_now);
        Assert.Contains(Carry(), static e => e.Kind == EffectKind.ConfirmBarrier);
    }

    [Fact] // §14.20: the last readable leg's disk is lost, or not seen here: requests wait, none fails, no leg is blamed.
    public void Write_DiskCannotBeUsed_WaitsUntilItCan()
    {
        Serve(LegState.Okay);
        Configure(LegState.Okay, waitsFor: "disk 'd1' is lost");
        _core.Submit(_now, new MirrorRequest(10, RequestKind.Write, new ByteRange(0, 4096), 0));
        _core.Submit(_now, new MirrorRequest(11, RequestKind.Read, new ByteRange(0, 4096), 0));
        Assert.Empty(Idle());
        var replies = Configure(LegState.Okay).Where(static e => e.Kind == EffectKind.Reply).ToArray();
        Assert.Equal([10UL, 11UL], replies.Select(static e => e.Id).Order());
        Assert.All(replies, static e => Assert.Equal(IoStatus.Ok, e.Status));
    }

    private void Serve(LegState second)
    {
        Configure(second);
        _core.LogOpened(_now);
        Carry();
        Lease();
    }

    private void Lease()
    {
        _core.LeaseGranted(_now, new LeaseGrant(_now, 60_000 * Ms, _index, 1, 1));
        Carry();
    }

    private void WriteTo(long offset)
    {
        _core.Submit(_now, new MirrorRequest((ulong)offset, RequestKind.Write, new ByteRange(offset, 4096), 0));
        Assert.Contains(Carry(), e => e.Kind == EffectKind.Reply && e.Id == (ulong)offset && e.Status == IoStatus.Ok);
    }

    private List<MirrorEffect> Idle()
    {
        var all = new List<MirrorEffect>();
        for (var i = 0; i < 20; i++)
        {
            _now += 20 * Ms;
            _core.Tick(_now);
            all.AddRange(Carry());
        }

        return all;
    }

    private List<MirrorEffect> Configure(LegState second, BarrierKind? barrier = null, string? waitsFor = null)
    {
        ResyncConfiguration? resync = second == LegState.Resyncing ? new ResyncConfiguration(true, [], 0) : null;
        var volume = new VolumeConfiguration(
            1, "s/v", 8 * Region, Region, RecoveryMode.Log, WriterMode.All, ReadPolicy.RoundRobin,
            [
                new LegConfiguration("l0", LegState.Okay, [new ExtentConfiguration("d0", 0, 0, 8 * Region)]),
                new LegConfiguration("l1", second, [new ExtentConfiguration("d1", 0, 0, 8 * Region)]),
            ],
            new OwnerConfiguration(null, 0, 1, null), resync, false, barrier is { } kind ? [new BarrierConfiguration(77, kind, true)] : [])
        {
            WaitsFor = waitsFor,
        };
        _core.ConfigurationChanged(_now, new VolumeView(++_index, "a", [new("a", 0, 1, MemberPhase.Up, true, false)], volume));
        return Carry();
    }

    /// <summary>Answers every device call and append at once with success.</summary>
    private List<MirrorEffect> Carry()
    {
        var all = new List<MirrorEffect>();
        while (_core.Effects.Count > 0)
        {
            var effects = _core.Effects.ToArray();
            _core.Effects.Clear();
            all.AddRange(effects);
            foreach (var effect in effects)
            {
                switch (effect.Kind)
                {
                    case EffectKind.LegRead or EffectKind.LegWrite or EffectKind.LegZero or EffectKind.LegFlush:
                        _core.IoCompleted(_now, effect.Id, effect.Leg, DeviceStatus.Ok, effect.Name!);
                        break;
                    case EffectKind.AppendMarks:
                        Assert.IsType<RegionUpdate[]>(effect.Payload);
                        _core.MarksAppended(_now, effect.Id, true);
                        break;
                }
            }
        }

        return all;
    }
}
