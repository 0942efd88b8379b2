using RaftMirror.Cli.Rendering;
using RaftMirror.Contracts;
using RaftMirror.ControlPlane.Model;
using RaftMirror.Node.Status;
using Xunit;

namespace RaftMirror.Cli.Tests;

public sealed class StatusTests
{
    private static readonly ResyncState Owed = new(false, [new RegionRun(4, 6)], 0, ResyncKind.Optimized, 40, 0);

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

    [Fact]
    public void Write_NodesThatDoNotServe_AreToldApart()
    {
        var live = Samples.Live(null);
        var nodes = new Dictionary<string, NodeLive>(live.Nodes)
        {
            ["b"] = new(true, 0, 0) { Standing = "quarantined", Reason = "its state differs" },
            ["c"] = new(false, null, null) { Standing = "removed" },
        };
        var view = Samples.View(live: live with { Nodes = nodes });
        view = view with
        {
            State = view.State with { Nodes = view.State.Nodes.SetItem("c", view.State.Nodes["c"] with { Status = ControlPlane.Model.NodeStatus.Down }) },
        };
        var document = StatusBuilder.Build(view);
        Assert.Equal(("quarantined", "its state differs"), (document.Nodes[1].Standing, document.Nodes[1].Reason));
        Assert.Contains(document.Disksets[0].Causes, cause => cause.Object == "demo:c" && cause.Action.Contains("--join", StringComparison.Ordinal));
        Assert.Equal(("none", false), (document.Nodes[2].Role, document.Nodes[2].Voter));
        var text = Render(terminal => StatusRenderer.Write(terminal, document with { Disksets = [] }));
        Assert.Contains("node b serves nothing: its state differs", text, StringComparison.Ordinal);
        Assert.Contains("raftmirror raft reseed b", text, StringComparison.Ordinal);
        Assert.Contains("every disk set is okay", text, StringComparison.Ordinal); // c was taken out: nobody misses it.
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

    [Fact]
    public void Compact_Okay_IsOneLine() => Assert.Equal(
        "demo/d10 mirror Okay 128.0M a@4 d10-0:Okay d10-1:Okay\n",
        Render(terminal => StatusRenderer.WriteCompact(terminal, StatusBuilder.Build(Samples.View()))));

    [Fact]
    public void Unhealthy_NothingWrong_SaysSo() => Assert.Equal(
        "everything is okay\n",
        Render(terminal => StatusRenderer.Write(terminal, StatusBuilder.Build(Samples.View()), onlyUnhealthy: true)));

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void Set_Resyncing_LooksLikeTheGolden(bool unicode)
    {
        var view = Samples.View(
            change: volume => volume with { Resync = Owed },
            live: Samples.Live(new ResyncLive("optimized", 2 << 20, 6 << 20, 1 << 20, null), stale: 4));
        var text = Render(terminal => StatusRenderer.WriteSets(terminal, StatusBuilder.Build(view)), unicode);
        var (mid, last, bar) = unicode
            ? ("├─", "└─", "[█████████████░░░░░░░░░░░░░░░░░░░░░░░░░░░]")
            : ("|-", "`-", "[=============>..........................]");
        Assert.Equal(
            " diskset  demo   joined a b c   master a\n"
            + "  health  Warning\n"
            + " fencing  lease, horizon 3.52 s (not safe against pauses: no watchdog)\n"
            + "   cause  RM1301 RESYNC  demo/d10: a writer crashed; its marked regions are made equal\n"
            + "  action  none: it ends by itself\n"
            + "\n"
            + "  VOLUME / LEG  MADE OF         STATE        SIZE  STALE  OPEN  OWNER  NOTE\n"
            + "  d10           mirror, 2 legs  Resyncing  128.0M      4     3  a@4    nbd, 1 client\n"
            + $"  {mid} d10-0      d0              Okay\n"
            + $"  {last} d10-1      d1              Okay\n"
            + $"     optimized: only what may differ         {bar}  33.3 %\n"
            + "     2.0M of 6.0M  1.0M/s  0:00:04 left\n"
            + "    view  index 41, linearizable; answered by a\n",
            text);
    }

    [Fact]
    public void Percent_AlmostDone_IsNot100() => Assert.Equal("99.9 %", StatusRenderer.Percent(new ResyncStatus
    {
        Kind = "optimized",
        DoneBytes = (1L << 50) - 1,
        TotalBytes = 1L << 50,
        BytesPerSecond = null,
        EtaSeconds = null,
        LimitedBy = null,
    }));

    [Theory]
    [InlineData("256M", 256L << 20)]
    [InlineData("1.5G", 3L << 29)]
    [InlineData("64KiB", 65536L)]
    [InlineData("4096", 4096L)]
    public void Sizes_RoundTrip(string text, long bytes)
    {
        Assert.True(Sizes.TryParse(text, out var parsed));
        Assert.Equal(bytes, parsed);
    }

    [Theory]
    [InlineData("")]
    [InlineData("M")]
    [InlineData("1X")]
    [InlineData("-1M")]
    [InlineData("99999999999T")]
    [InlineData("0.3")]
    public void Sizes_Nonsense_IsRefused(string text) => Assert.False(Sizes.TryParse(text, out _));

    private static VolumeStatus Volume(StatusDocument document) => document.Disksets[0].Volumes[0];

    private static string Render(Action<Terminal> write, bool unicode = true)
    {
        var output = new StringWriter { NewLine = "\n" };
        write(new Terminal(output, TextWriter.Null, false, false, unicode));
        return output.ToString();
    }
}
