using RaftMirror.Contracts;
using RaftMirror.ControlPlane.Model;
using RaftMirror.Node.Status;
using Xunit;

namespace RaftMirror.Node.Tests;

/// <summary>What status says of a state and of the figures of live nodes.</summary>
public sealed class StatusBuilderTests
{
    private static readonly ResyncState Owed = new(false, [new RegionRun(4, 6)], 0, ResyncKind.Optimized, 40, 0);

    private static VolumeStatus Volume(StatusDocument document) => document.Disksets[0].Volumes[0];

    [Theory] // The first that applies: unavailable, stale, degraded, resyncing, okay.
    [InlineData(LegState.Okay, LegState.Okay, false, true, "okay")]
    [InlineData(LegState.Okay, LegState.Okay, true, true, "resyncing")]
    [InlineData(LegState.Okay, LegState.Attached, false, true, "resyncing")]
    [InlineData(LegState.Okay, LegState.Maintenance, true, true, "degraded")]
    [InlineData(LegState.LastErred, LegState.Maintenance, false, true, "degraded")]
    [InlineData(LegState.Okay, LegState.Offline, false, true, "degraded")]
    [InlineData(LegState.Maintenance, LegState.Resyncing, true, true, "unavailable")]
    [InlineData(LegState.Okay, LegState.Okay, true, false, "unavailable")]
    public void VolumeState_FirstThatApplies(LegState first, LegState second, bool owed, bool served, string expected)
    {
        var volume = Samples.Volume() with
        {
            Submirrors = [Samples.Leg("d10-0", "d0", first), Samples.Leg("d10-1", "d1", second)],
            Resync = owed ? Owed : null,
        };
        Assert.Equal(expected, StatusBuilder.VolumeState(volume, served));
    }

    [Theory] // Nothing waits without a cause that names what it waits for, and since when.
    [InlineData(HoldReason.Answer, "b", "b answers whether it has older writes")]
    [InlineData(HoldReason.OlderWrite, "b", "an older write of the same bytes on b")]
    [InlineData(HoldReason.FormerConnection, "c", "former connections has ended on c")]
    [InlineData(HoldReason.Owner, "c", "which c has not given up")]
    [InlineData(HoldReason.Merge, "c", "what c wrote last is merged")]
    [InlineData(HoldReason.LegLoss, "d10-1", "the loss of d10-1")]
    public void Build_RequestHeld_CauseNamesWhatItWaitsFor(HoldReason reason, string on, string expected)
    {
        var document = StatusBuilder.Build(Samples.View(live: Held(reason, on, ageMs: 1400)));
        var cause = Assert.Single(document.Disksets[0].Causes, cause => cause.Code == "RM1107 REQUEST_HELD");
        Assert.Equal("demo/d10", cause.Object);
        Assert.StartsWith("3 requests wait on a, the oldest for 1.4 s, ", cause.Cause, StringComparison.Ordinal);
        Assert.Contains(expected, cause.Cause, StringComparison.Ordinal);
        Assert.Equal("warning", document.Disksets[0].Health);
        Assert.Equal(new HoldStatus("a", reason, on, 1400, 3), Volume(document).Held);
    }

    [Fact]
    public void Build_RequestHeldShortly_IsNoCause() =>
        Assert.DoesNotContain(StatusBuilder.Build(Samples.View(live: Held(HoldReason.Answer, "b", ageMs: 999))).Disksets[0].Causes,
            cause => cause.Code == "RM1107 REQUEST_HELD");

    [Fact]
    public void Build_EveryHoldReason_HasWordsOfItsOwn()
    {
        var texts = Enum.GetValues<HoldReason>().Select(reason =>
            StatusBuilder.Build(Samples.View(live: Held(reason, null, ageMs: 2000))).Disksets[0].Causes.Single(cause => cause.Code == "RM1107 REQUEST_HELD"));
        Assert.Equal(Enum.GetValues<HoldReason>().Length, texts.Select(cause => cause.Cause).Distinct().Count());
    }

    [Fact] // A disk newer than the state was to be "brought back", and one that only waits to be compared was to get another path.
    public void Remedy_EveryFinding_HasOneThatFitsIt()
    {
        var set = Samples.View().State.Sets.Values.First();
        var disk = set.Disks.Values.First();
        string For(DiskLossReason reason, string? node = "b", bool refill = false, bool isLost = false) => MissingDiskCauses.Remedy(
            set, isLost ? disk with { Status = ControlPlane.Model.DiskStatus.Lost } : disk, new DiskComplaint(disk.Name, reason, "") { MayBeRefilled = refill }, node);

        foreach (var reason in Enum.GetValues<DiskLossReason>())
        {
            Assert.NotEmpty(For(reason));
            Assert.NotEmpty(For(reason, node: null, isLost: true));
        }

        var path = $"raftmirror disk set {set.Name} {disk.Name} --path b=PATH";
        Assert.All([DiskLossReason.Absent, DiskLossReason.Unreachable, DiskLossReason.Foreign, DiskLossReason.Cloned, DiskLossReason.Older],
            reason => Assert.Contains(path, For(reason), StringComparison.Ordinal));
        Assert.All([DiskLossReason.Newer, DiskLossReason.Unproven, DiskLossReason.Resized, DiskLossReason.TimedOut, DiskLossReason.FailsHere],
            reason => Assert.DoesNotContain("--path", For(reason), StringComparison.Ordinal));
        Assert.StartsWith("start the node that has the newer state", For(DiskLossReason.Newer), StringComparison.Ordinal);
        Assert.StartsWith("none", For(DiskLossReason.Unproven), StringComparison.Ordinal);
        Assert.StartsWith("none", For(DiskLossReason.Older, node: null, refill: true, isLost: true), StringComparison.Ordinal);
    }

    private static LiveFigures Held(HoldReason reason, string? on, long ageMs)
    {
        var live = Samples.Live(null);
        return live with
        {
            Volumes = new Dictionary<string, VolumeLive>
            {
                ["demo/d10"] = live.Volumes["demo/d10"] with { Held = new HoldLive("a", reason, on, ageMs, 3) },
            },
        };
    }

    [Fact]
    public void Build_NothingOwed_StaleIsZeroWhateverTheNodesSay() => Assert.Equal(
        0, Volume(StatusBuilder.Build(Samples.View(live: Samples.Live(null, stale: 99)))).StaleRegions);

    [Theory]
    [InlineData(-5, 100, 0, 100)]
    [InlineData(500, 100, 100, 100)]
    [InlineData(5, -1, 0, 0)]
    public void Build_ProgressOutOfRange_IsClamped(long done, long total, long shownDone, long shownTotal)
    {
        var view = Samples.View(change: volume => volume with { Resync = Owed }, live: Samples.Live(new ResyncLive(null, done, total, 10, null)));
        var resync = Volume(StatusBuilder.Build(view)).Resync!;
        Assert.Equal((shownDone, shownTotal), (resync.DoneBytes, resync.TotalBytes));
    }

    [Fact]
    public void Build_NoLiveFigures_CountsTheCommittedState()
    {
        var volume = Volume(StatusBuilder.Build(Samples.View(change: volume => volume with { Resync = Owed }, live: LiveFigures.None)));
        Assert.Equal(6, volume.StaleRegions);
        Assert.Null(volume.OpenRegions);
        Assert.Null(volume.Resync!.EtaSeconds);
        Assert.Equal(6 << 20, volume.Resync.TotalBytes);
    }
}
