using RaftMirror.Cli.Rendering;
using RaftMirror.Contracts;
using RaftMirror.ControlPlane.Model;
using RaftMirror.Node.Status;
using Xunit;

namespace RaftMirror.Cli.Tests;

public sealed class StatusRendererTests
{
    private static readonly ResyncState Owed = new(false, [new RegionRun(4, 6)], 0, ResyncKind.Optimized, 40, 0);

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
