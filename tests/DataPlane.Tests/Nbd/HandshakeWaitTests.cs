using System.Text;
using RaftMirror.DataPlane.Exports;
using RaftMirror.DataPlane.Nbd.Protocol;
using Xunit;

namespace RaftMirror.DataPlane.Tests.Nbd;

/// <summary>Steps the handshake's core through what an option waits for (design §14.26).</summary>
public sealed class HandshakeWaitTests : IDisposable
{
    private const uint Go = 7, Info = 6, List = 3, ExportName = 1, StructuredReply = 8, SetMetaContext = 10;

    private readonly MemoryExport _export = new();
    private readonly TestCatalog _catalog;
    private readonly HandshakeMachine _machine;
    private long _now = 1000;

    public HandshakeWaitTests()
    {
        _catalog = new TestCatalog(_export);
        _machine = new HandshakeMachine(_catalog);
        Assert.Equal(HandshakeStep.Continue, _machine.Step([0, 0, 0, 3], _now, out _));
        _machine.ClearOutput();
    }

    public void Dispose() => _export.Dispose();

    [Theory]
    [InlineData(Info)]
    [InlineData(Go)]
    [InlineData(ExportName)]
    public void Option_NotServed_WaitsForFiveSecondsAndNotLonger(uint option)
    {
        _catalog.Set("set/vol", ExportStanding.NotServed, "no lease");
        Ask(option);
        Assert.Equal(HandshakeStep.Wait, Look());
        _now += HandshakeMachine.ServiceWaitMs - 1;
        Assert.Equal(HandshakeStep.Wait, Look());
        Assert.Equal(0, _machine.Output.Length);
        _now++;
        if (option == ExportName)
        {
            Assert.Equal(HandshakeStep.Close, Look()); // This option has no error to answer with.
            Assert.Equal(0, _machine.Output.Length);
            return;
        }

        Assert.Equal(HandshakeStep.Continue, Look());
        Assert.Equal((OptionReply.ErrorShutdown, "'set/vol' is not to be had here now: no lease"), Reply());
        Assert.Equal("no lease", _machine.Refusal);
    }

    [Fact]
    public void Go_ServedMeanwhile_NeedsTheSessionAdmitted()
    {
        _catalog.Set("set/vol", ExportStanding.NotServed, "no lease");
        Ask(Go);
        Assert.Equal(HandshakeStep.Wait, Look());
        Assert.Same(_export, _machine.Wanted); // A session may be opened before the volume is served: its barrier begins then.
        _now += 3000;
        _catalog.Set("set/vol", null);
        Assert.Equal(HandshakeStep.Wait, Look(SessionStanding.Opened));
        Assert.Equal(HandshakeStep.Transmission, Look(SessionStanding.Admitted));
        Assert.Equal(OptionReply.Info, Reply().Type);
        Assert.Null(_machine.Refusal);
    }

    [Fact]
    public void Go_AdmittedButNoLongerServed_WaitsOn()
    {
        _catalog.Set("set/vol", ExportStanding.NotServed, "no lease");
        Ask(Go);
        Assert.Equal(HandshakeStep.Wait, Look(SessionStanding.Admitted));
    }

    [Fact]
    public void Go_SessionNeverAdmitted_SaysWhatItWaitedFor()
    {
        Ask(Go);
        Assert.Equal(HandshakeStep.Wait, Look(SessionStanding.Opened));
        _now += HandshakeMachine.ServiceWaitMs;
        Assert.Equal(HandshakeStep.Continue, Look(SessionStanding.Opened));
        var (type, text) = Reply();
        Assert.Equal(OptionReply.ErrorShutdown, type);
        Assert.Contains("earlier connection", text, StringComparison.Ordinal);
    }

    [Fact] // ERR_UNKNOWN is said only by a node that knows everything that is configured anywhere.
    public void Name_NotConfigured_IsUnknownOnlyOnceCaughtUp()
    {
        Ask(Go, "set/none");
        Assert.Equal(HandshakeStep.Wait, Look());
        Assert.True(_machine.Waiting!.NeedsCatchUp);
        Assert.Equal(HandshakeStep.Continue, Look(isCaughtUp: true));
        Assert.Equal(OptionReply.ErrorUnknown, Reply().Type);

        Ask(Info, "set/none");
        _now += HandshakeMachine.ServiceWaitMs;
        Assert.Equal(HandshakeStep.Continue, Look());
        var (type, text) = Reply();
        Assert.Equal(OptionReply.ErrorShutdown, type);
        Assert.Contains("cannot know", text, StringComparison.Ordinal);
    }

    [Fact] // Its configuration was caught up with while the client waited, and there it is.
    public void Name_ConfiguredWhileCatchingUp_IsFound()
    {
        using var late = new MemoryExport("set/late");
        Ask(Info, "set/late");
        Assert.Equal(HandshakeStep.Wait, Look());
        _catalog.Add(late);
        Assert.Equal(HandshakeStep.Continue, Look(isCaughtUp: true));
        Assert.Equal(OptionReply.Info, Reply().Type);
    }

    [Theory]
    [InlineData(Go)]
    [InlineData(List)]
    [InlineData(SetMetaContext)]
    public void Option_ConfigurationUnknown_WaitsThenSaysSo(uint option)
    {
        Option(StructuredReply, []);
        _machine.ClearOutput();
        _catalog.Unknown = "just started";
        _catalog.Set("set/vol", ExportStanding.Undecided, "just started");
        Ask(option);
        Assert.Equal(HandshakeStep.Wait, Look(isCaughtUp: true));
        _now += HandshakeMachine.ServiceWaitMs;
        Assert.Equal(HandshakeStep.Continue, Look(isCaughtUp: true));
        var (type, text) = Reply();
        Assert.Equal(OptionReply.ErrorShutdown, type);
        Assert.EndsWith("just started", text, StringComparison.Ordinal);
    }

    [Fact] // Clients choose contexts before GO: these need the name alone, and must not fail because the volume is not served yet.
    public void MetaContext_NotServed_IsAnsweredAtOnce()
    {
        Option(StructuredReply, []);
        _machine.ClearOutput();
        _catalog.Set("set/vol", ExportStanding.NotServed, "no lease");
        Ask(SetMetaContext);
        Assert.Equal(HandshakeStep.Continue, Look());
        Assert.Equal(OptionReply.MetaContext, Reply().Type);
    }

    [Fact]
    public void List_NotServed_NamesEveryConfiguredExportAtOnce()
    {
        _catalog.Set("set/vol", ExportStanding.NotServed, "no lease");
        Ask(List);
        Assert.Equal(HandshakeStep.Continue, Look());
        Assert.Equal(OptionReply.Server, Reply().Type);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void Go_WaitingIsInVain_IsRefusedAtOnce(bool isStopping)
    {
        _catalog.Set("set/vol", isStopping ? ExportStanding.NotServed : ExportStanding.NeverServed, "left");
        Ask(Go);
        Assert.Equal(HandshakeStep.Continue, Look(isStopping: isStopping));
        Assert.Equal((OptionReply.ErrorShutdown, $"'set/vol' is not to be had here now: {(isStopping ? "this node stops" : "left")}"), Reply());
    }

    [Fact] // A handshake of a thousand options may not hold its thread for an hour.
    public void Options_ManyThatWait_WaitForABoundedTimeInAll()
    {
        _catalog.Set("set/vol", ExportStanding.NotServed, "no lease");
        var start = _now;
        for (var i = 0; i < 50; i++)
        {
            Ask(Info);
            while (Look() == HandshakeStep.Wait) _now = _machine.Waiting!.DeadlineMs;
            Assert.Equal(OptionReply.ErrorShutdown, Reply().Type);
        }

        Assert.Equal(HandshakeMachine.MaxWaitMs, _now - start);
        _catalog.Set("set/vol", null);
        Ask(Go); // It is served now, and no time is needed for that.
        Assert.Equal(HandshakeStep.Transmission, Look(SessionStanding.Admitted));
    }

    private HandshakeStep Look(
        SessionStanding session = SessionStanding.None, bool isCaughtUp = false, bool isStopping = false) =>
        _machine.LookAgain(new WaitFacts(_now, isCaughtUp, session, isStopping));

    private void Ask(uint option, string name = "set/vol") => Assert.Equal(HandshakeStep.Wait, Option(option, option switch
    {
        List => [],
        ExportName => Encoding.UTF8.GetBytes(name),
        SetMetaContext => NbdTestClient.MetaData(name, "base:allocation"),
        _ => NbdTestClient.InfoData(name),
    }));

    private HandshakeStep Option(uint option, byte[] data) => _machine.Step(NbdTestClient.Option(option, data), _now, out _);

    /// <summary>The first reply that is output, and its text.</summary>
    private (OptionReply Type, string Text) Reply()
    {
        var output = _machine.Output.ToArray();
        _machine.ClearOutput();
        return ((OptionReply)System.Buffers.Binary.BinaryPrimitives.ReadUInt32BigEndian(output.AsSpan(12)),
            Encoding.UTF8.GetString(output.AsSpan(20, (int)System.Buffers.Binary.BinaryPrimitives.ReadUInt32BigEndian(output.AsSpan(16)))));
    }
}
