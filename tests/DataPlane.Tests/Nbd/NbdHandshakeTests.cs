using System.Buffers.Binary;
using System.Text;
using RaftMirror.DataPlane.Nbd.Protocol;
using Xunit;

namespace RaftMirror.DataPlane.Tests.Nbd;

/// <summary>The option phase over a real socket (doc/proto.md, "Fixed newstyle negotiation").</summary>
public sealed class NbdHandshakeTests : NbdServerFixture
{
    private const uint Ack = (uint)OptionReply.Ack;
    private const uint Unsupported = (uint)OptionReply.ErrorUnsupported;
    private const uint Invalid = (uint)OptionReply.ErrorInvalid;
    private const uint Unknown = (uint)OptionReply.ErrorUnknown;

    [Fact]
    public void ClientFlags_UnknownBit_ClosesTheConnection()
    {
        using var client = NbdTestClient.Greet(Endpoint, clientFlags: 7);
        Assert.True(client.IsClosedByServer());
    }

    [Fact]
    public void Option_BadMagic_ClosesTheConnection()
    {
        using var client = NbdTestClient.Greet(Endpoint);
        client.Send(new byte[16]);
        Assert.True(client.IsClosedByServer());
    }

    [Theory]
    [InlineData(3u)]
    [InlineData(7u)]
    [InlineData(10u)]
    [InlineData(77u)]
    public void Option_HugeLength_ClosesAtOnce(uint option)
    {
        using var client = NbdTestClient.Greet(Endpoint);
        client.Send(NbdTestClient.Option(option, claimedLength: uint.MaxValue));
        Assert.True(client.IsClosedByServer());
    }

    [Fact]
    public void Abort_IsAcknowledgedThenClosed()
    {
        using var client = NbdTestClient.Greet(Endpoint);
        Assert.Equal(Ack, client.Ask(2, new byte[100]).Single().Type);
        Assert.True(client.IsClosedByServer());
    }

    [Theory]
    [InlineData(4u)]
    [InlineData(5u)]
    [InlineData(11u)]
    [InlineData(0xDEADBEEFu)]
    public void Option_Unknown_IsRefusedInStep(uint option)
    {
        using var client = NbdTestClient.Greet(Endpoint);
        Assert.Equal(Unsupported, client.Ask(option, new byte[1000]).Single().Type);
        Assert.Equal(Ack, client.Ask(7, NbdTestClient.InfoData("set/vol"))[^1].Type);
    }

    [Fact]
    public void List_Asked_NamesEveryExportWithDescription()
    {
        using var client = NbdTestClient.Greet(Endpoint);
        var replies = client.Ask(3);
        Assert.Equal([2u, 2u, Ack], replies.Select(reply => reply.Type));
        Assert.Equal("set/bystander", Encoding.UTF8.GetString(replies[0].Data.AsSpan(4, (int)BinaryPrimitives.ReadUInt32BigEndian(replies[0].Data))));
        Assert.EndsWith("a volume for tests", replies[1].Text, StringComparison.Ordinal);
    }

    [Fact]
    public void List_WithData_IsInvalidAndInStep()
    {
        using var client = NbdTestClient.Greet(Endpoint);
        Assert.Equal(Invalid, client.Ask(3, [1, 2, 3]).Single().Type);
        Assert.Equal(3, client.Ask(3).Count);
    }

    [Theory]
    [InlineData(6u)]
    [InlineData(7u)]
    public void InfoOrGo_Malformed_IsInvalidAndInStep(uint option)
    {
        using var client = NbdTestClient.Greet(Endpoint);
        var good = NbdTestClient.InfoData("set/vol", 1, 2, 3);
        for (var length = 0; length < good.Length; length++)
        {
            Assert.Equal(Invalid, client.Ask(option, good[..length]).Single().Type);
        }

        Assert.Equal(Invalid, client.Ask(option, [.. good, 0]).Single().Type);
        Assert.Equal(Invalid, client.Ask(option, [0xFF, 0xFF, 0xFF, 0xFF, 0, 0]).Single().Type);
        Assert.Equal(Ack, client.Ask(7, good)[^1].Type);
    }

    [Fact]
    public void Go_NameUnknown_IsRefusedWithTextInStep()
    {
        using var client = NbdTestClient.Greet(Endpoint);
        var reply = client.Ask(7, NbdTestClient.InfoData("set/other")).Single();
        Assert.Equal(Unknown, reply.Type);
        Assert.Equal("there is no export 'set/other'", reply.Text);
        Assert.Equal(Unknown, client.Ask(7, NbdTestClient.InfoData("")).Single().Type);
        Assert.Equal(Ack, client.Ask(7, NbdTestClient.InfoData("set/vol"))[^1].Type);
    }

    [Fact]
    public void Go_NameNotUtf8OrNulOrTooLong_IsInvalidWithEscapedText()
    {
        using var client = NbdTestClient.Greet(Endpoint);
        foreach (var name in (byte[][])[[0xFF, 0xFE, (byte)'a'], [(byte)'a', 0, (byte)'b'], new byte[5000]])
        {
            var reply = client.Ask(7, NbdTestClient.InfoData(name)).Single();
            Assert.Equal(Invalid, reply.Type);
            Assert.True(reply.Data.Length <= 4096);
            _ = new UTF8Encoding(false, throwOnInvalidBytes: true).GetString(reply.Data);
            Assert.DoesNotContain('\0', reply.Text);
        }

        Assert.Contains("\\xff\\xfea", client.Ask(7, NbdTestClient.InfoData([0xFF, 0xFE, (byte)'a'])).Single().Text, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Info_ThenGo_SayTheSameAndAllKinds(bool structured)
    {
        using var client = NbdTestClient.Greet(Endpoint);
        if (structured) client.Ask(8);
        var info = client.Ask(6, NbdTestClient.InfoData("set/vol"));
        var go = client.Ask(7, NbdTestClient.InfoData("set/vol", 3));
        Assert.Equal(info.Select(reply => reply.Data), go.Select(reply => reply.Data));
        Assert.Equal([0, 1, 2, 3], go.SkipLast(1).Select(reply => (int)BinaryPrimitives.ReadUInt16BigEndian(reply.Data)));
        var sizes = go[3].Data;
        Assert.Equal(512u, BinaryPrimitives.ReadUInt32BigEndian(sizes.AsSpan(2)));
        Assert.Equal(4096u, BinaryPrimitives.ReadUInt32BigEndian(sizes.AsSpan(6)));
        Assert.Equal(32u << 20, BinaryPrimitives.ReadUInt32BigEndian(sizes.AsSpan(10)));
        var flags = (TransmissionFlags)BinaryPrimitives.ReadUInt16BigEndian(go[0].Data.AsSpan(10));
        Assert.Equal(structured, flags.HasFlag(TransmissionFlags.SendDf));
        Assert.True(flags.HasFlag(TransmissionFlags.HasFlags | TransmissionFlags.SendFlush | TransmissionFlags.SendFua | TransmissionFlags.CanMultiConn));
    }

    [Theory]
    [InlineData(3u, 10)]
    [InlineData(1u, 134)]
    [InlineData(0u, 134)]
    public void ExportName_Known_AnswersSizeAndFlags(uint clientFlags, int answerBytes)
    {
        using var client = NbdTestClient.Greet(Endpoint, clientFlags);
        client.Send(NbdTestClient.Option(1, "set/vol"u8.ToArray()));
        var answer = client.Receive(answerBytes);
        Assert.Equal(1ul << 20, BinaryPrimitives.ReadUInt64BigEndian(answer));
        Assert.Equal(4096, client.Do(0, 0, 4096).Data.Length);
    }

    [Fact]
    public void ExportName_Unknown_ClosesTheConnection()
    {
        using var client = NbdTestClient.Greet(Endpoint);
        client.Send(NbdTestClient.Option(1, "nobody"u8.ToArray()));
        Assert.True(client.IsClosedByServer());
    }

    [Fact]
    public void StructuredReply_WithData_IsInvalidAndNotAgreed()
    {
        using var client = NbdTestClient.Greet(Endpoint);
        Assert.Equal(Invalid, client.Ask(8, [1]).Single().Type);
        client.Ask(7, NbdTestClient.InfoData("set/vol"));
        Assert.False(client.Do(0, 0, 512).IsStructured);
    }

    [Fact]
    public void Options_MoreThanTheLimit_CloseTheConnection()
    {
        using var client = NbdTestClient.Greet(Endpoint);
        for (var i = 0; i < HandshakeMachine.MaxOptions; i++) client.Ask(77);
        client.Send(NbdTestClient.Option(77));
        Assert.True(client.IsClosedByServer());
    }

    [Fact]
    public void MetaContext_WithoutStructuredReplies_IsInvalid()
    {
        using var client = NbdTestClient.Greet(Endpoint);
        Assert.Equal(Invalid, client.Ask(9, NbdTestClient.MetaData("set/vol")).Single().Type);
        Assert.Equal(Invalid, client.Ask(10, NbdTestClient.MetaData("set/vol", "base:allocation")).Single().Type);
    }

    [Fact]
    public void ListMetaContext_NoQueryOrNamespace_ListsAllocationOnce()
    {
        using var client = NbdTestClient.Greet(Endpoint);
        client.Ask(8);
        foreach (var queries in (string[][])[[], ["base:"], ["base:", "base:allocation", "x-other:thing"]])
        {
            var replies = client.Ask(9, NbdTestClient.MetaData("set/vol", queries));
            Assert.Equal([4u, Ack], replies.Select(reply => reply.Type));
            Assert.EndsWith("base:allocation", replies[0].Text, StringComparison.Ordinal);
        }

        Assert.Equal(Unknown, client.Ask(9, NbdTestClient.MetaData("nobody")).Single().Type);
    }

    [Fact]
    public void SetMetaContext_WildcardOrNothing_SelectsNothing()
    {
        using var client = NbdTestClient.Greet(Endpoint);
        client.Ask(8);
        Assert.Equal([Ack], client.Ask(10, NbdTestClient.MetaData("set/vol", "base:")).Select(reply => reply.Type));
        Assert.Equal([Ack], client.Ask(10, NbdTestClient.MetaData("set/vol")).Select(reply => reply.Type));
        client.Ask(7, NbdTestClient.InfoData("set/vol"));
        Assert.Equal(22u, client.Do(7, 0, 4096).Error);
    }

    [Fact]
    public void SetMetaContext_FailsAfterSuccess_LeavesNothingSelected()
    {
        using var client = NbdTestClient.Greet(Endpoint);
        client.Ask(8);
        Assert.Equal(2, client.Ask(10, NbdTestClient.MetaData("set/vol", "base:allocation")).Count);
        Assert.Equal(Invalid, client.Ask(10, [1, 2]).Single().Type);
        client.Ask(7, NbdTestClient.InfoData("set/vol"));
        Assert.Equal(22u, client.Do(7, 0, 4096).Error);
    }

    [Fact]
    public void SetMetaContext_InfoOfAnotherExportBetween_KeepsTheSelection()
    {
        using var client = NbdTestClient.Greet(Endpoint);
        client.Ask(8);
        Assert.Equal(2, client.Ask(10, NbdTestClient.MetaData("set/vol", "base:allocation", "base:allocation")).Count);
        client.Ask(6, NbdTestClient.InfoData("set/bystander"));
        client.Ask(7, NbdTestClient.InfoData("set/vol"));
        var reply = client.Do(7, 4096, 8192, flags: 8);
        Assert.Equal(5, reply.Type);
        Assert.Equal([0, 0, 0, 1, 0, 0, 0x20, 0, 0, 0, 0, 0], reply.Payload);
    }

    [Fact]
    public void SetMetaContext_GoToAnotherExport_DoesNotHold()
    {
        using var client = NbdTestClient.Greet(Endpoint);
        client.Ask(8);
        client.Ask(10, NbdTestClient.MetaData("set/bystander", "base:allocation"));
        client.Ask(7, NbdTestClient.InfoData("set/vol"));
        Assert.Equal(22u, client.Do(7, 0, 4096).Error);
    }

    [Fact]
    public void SetMetaContext_TooManyQueries_IsTooBigInStep()
    {
        using var client = NbdTestClient.Greet(Endpoint);
        client.Ask(8);
        var queries = Enumerable.Repeat("a", HandshakeMachine.MaxQueries + 1).ToArray();
        Assert.Equal((uint)OptionReply.ErrorTooBig, client.Ask(10, NbdTestClient.MetaData("set/vol", queries)).Single().Type);
        Assert.Equal(Ack, client.Ask(7, NbdTestClient.InfoData("set/vol"))[^1].Type);
    }
}
