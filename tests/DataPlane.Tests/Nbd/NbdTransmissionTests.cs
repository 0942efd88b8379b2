using System.Buffers.Binary;
using RaftMirror.DataPlane.Exports;
using RaftMirror.DataPlane.Nbd.Protocol;
using Xunit;

namespace RaftMirror.DataPlane.Tests.Nbd;

/// <summary>Requests and replies over a real socket.</summary>
public sealed class NbdTransmissionTests : NbdServerFixture
{
    private const ushort Read = 0, Write = 1, Flush = 3, Trim = 4, Cache = 5, Zeroes = 6, Status = 7;
    private const uint NotPermitted = 1, Io = 5, Invalid = 22, NoSpace = 28;
    private const uint Size = 1 << 20;

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void WriteThenRead_AnyAlignedRange_ReturnsWhatWasWritten(bool structured)
    {
        using var client = NbdTestClient.Attach(Endpoint, structured: structured);
        var data = new byte[300 << 10];
        new Random(1).NextBytes(data);
        Assert.Equal(0u, client.Do(Write, 512, (uint)data.Length, payload: data).Error);
        var reply = client.Do(Read, 512, (uint)data.Length);
        Assert.Equal(structured, reply.IsStructured);
        Assert.Equal(data, reply.Data);
        if (structured) Assert.Equal(512ul, BinaryPrimitives.ReadUInt64BigEndian(reply.Payload));
        Assert.Equal(data[512..1024], client.Do(Read, 1024, 512).Data);
    }

    [Fact]
    public void ForceUnitAccess_OnEveryCommand_IsAcceptedAndPassedOn()
    {
        using var client = NbdTestClient.Attach(Endpoint);
        Assert.Equal(0u, client.Do(Read, 0, 512, flags: 1).Error);
        Assert.Equal(0u, client.Do(Write, 0, 512, flags: 1, payload: new byte[512]).Error);
        Assert.Equal(0u, client.Do(Flush, 0, 0, flags: 1).Error);
        Assert.Equal(0u, client.Do(Trim, 0, Size, flags: 1).Error);
        Assert.Equal(0u, client.Do(Zeroes, 0, Size, flags: 1).Error);
        Assert.Equal(0u, client.Do(Zeroes, 0, Size, flags: 2).Error);
        Assert.Equal(
            ["read 0+512", "write 0+512 fua", "flush", "trim 0+1048576 fua", "zero 0+1048576 fua", "zero 0+1048576 nohole"], Export.Calls);
    }

    [Theory]
    [InlineData(Read, 2)]
    [InlineData(Read, 4)] // DF without structured replies.
    [InlineData(Read, 8)]
    [InlineData(Flush, 2)]
    [InlineData(Trim, 2)]
    [InlineData(Zeroes, 4)]
    [InlineData(Zeroes, 16)] // FAST_ZERO is not advertised.
    [InlineData(Zeroes, 0x8000)]
    [InlineData(Write, 2)]
    [InlineData(Write, 32)]
    public void Flag_UnknownOrOfAnotherCommand_IsInvalidAndInStep(ushort command, int flags)
    {
        using var client = NbdTestClient.Attach(Endpoint);
        var payload = command == Write ? new byte[512] : null;
        Assert.Equal(Invalid, client.Do(command, 0, 512, (ushort)flags, payload).Error);
        Assert.Empty(Export.Calls);
        Assert.Equal(0u, client.Do(Read, 0, 512).Error);
    }

    [Theory]
    [InlineData(Cache)]
    [InlineData(8)]
    [InlineData(0xFFFF)]
    public void Command_Unknown_IsInvalidAndInStep(ushort command)
    {
        using var client = NbdTestClient.Attach(Endpoint);
        Assert.Equal(Invalid, client.Do(command, 0, 512).Error);
        Assert.Equal(0u, client.Do(Read, 0, 512).Error);
    }

    [Theory]
    [InlineData(Read, Invalid)]
    [InlineData(Trim, Invalid)]
    [InlineData(Write, NoSpace)]
    [InlineData(Zeroes, NoSpace)]
    public void Range_PastTheEndOrOverflowing_IsRefusedAndInStep(ushort command, uint error)
    {
        using var client = NbdTestClient.Attach(Endpoint);
        var payload = command == Write ? new byte[1024] : null;
        foreach (var offset in (ulong[])[Size - 512, Size, Size + 512, long.MaxValue - 511, 1ul << 63, ulong.MaxValue - 511])
        {
            Assert.Equal(error, client.Do(command, offset, 1024, payload: payload).Error);
        }

        Assert.Empty(Export.Calls);
        Assert.Equal(0u, client.Do(Read, Size - 512, 512).Error);
    }

    [Theory]
    [InlineData(Read)]
    [InlineData(Write)]
    [InlineData(Trim)]
    [InlineData(Zeroes)]
    public void Range_Unaligned_IsInvalidAndChangesNothing(ushort command)
    {
        using var client = NbdTestClient.Attach(Endpoint);
        Assert.Equal(Invalid, client.Do(command, 1, 512, payload: command == Write ? new byte[512] : null).Error);
        Assert.Equal(Invalid, client.Do(command, 0, 511, payload: command == Write ? new byte[511] : null).Error);
        Assert.Empty(Export.Calls);
    }

    [Theory]
    [InlineData(Read)]
    [InlineData(Write)]
    [InlineData(Trim)]
    [InlineData(Zeroes)]
    public void Length_Zero_SucceedsWithoutEffect(ushort command)
    {
        foreach (var structured in (bool[])[false, true])
        {
            using var client = NbdTestClient.Attach(Endpoint, structured: structured);
            var reply = client.Do(command, 512, 0);
            Assert.Equal(0u, reply.Error);
            Assert.Equal(structured && command == Read, reply.IsStructured);
            Assert.Empty(Export.Calls);
        }
    }

    [Fact]
    public void Read_LongerThanTheMaximum_IsInvalidAndStays()
    {
        using var client = NbdTestClient.Attach(Endpoint);
        Assert.Equal(Invalid, client.Do(Read, 0, (32 << 20) + 512).Error);
        Assert.Equal(Invalid, client.Do(Read, 0, uint.MaxValue).Error);
        Assert.Equal(0u, client.Do(Read, 0, 512).Error);
    }

    [Fact]
    public void Write_LongerThanTheMaximum_IsSkippedUpTo64MiBElseDropped()
    {
        using var client = NbdTestClient.Attach(Endpoint);
        Assert.Equal(Invalid, client.Do(Write, 0, (32 << 20) + 512, payload: new byte[(32 << 20) + 512]).Error);
        Assert.Equal(0u, client.Do(Read, 0, 512).Error);
        client.SendRequest(Write, 1, 0, (64 << 20) + 1);
        Assert.True(client.IsClosedByServer());
    }

    [Fact]
    public void Request_BadMagic_ClosesTheConnection()
    {
        using var client = NbdTestClient.Attach(Endpoint);
        client.Send(NbdTestClient.Request(Read, 1, 0, 512, magic: 0x12345678));
        Assert.True(client.IsClosedByServer());
    }

    [Fact]
    public void StructuredReplies_ErrorOfRead_IsAChunkWithTextAndDone()
    {
        using var client = NbdTestClient.Attach(Endpoint, structured: true);
        var reply = client.Do(Read, Size, 512);
        Assert.True(reply.IsStructured);
        Assert.Equal(1, reply.Flags);
        Assert.Equal(0x8001, reply.Type);
        Assert.Equal("the range goes past the end of the export", reply.Text);
        Assert.Equal(reply.Payload.Length - 6, BinaryPrimitives.ReadUInt16BigEndian(reply.Payload.AsSpan(4)));
    }

    [Fact]
    public void DoNotFragment_LargeRead_ComesInOneChunk()
    {
        using var client = NbdTestClient.Attach(Endpoint, structured: true);
        var reply = client.Do(Read, 0, Size, flags: 4);
        Assert.Equal(1, reply.Type);
        Assert.Equal(1, reply.Flags);
        Assert.Equal((int)Size, reply.Data.Length);
    }

    [Theory]
    [InlineData(IoStatus.InvalidArgument, Invalid)]
    [InlineData(IoStatus.NoSpace, NoSpace)]
    [InlineData(IoStatus.ReadOnly, NotPermitted)]
    [InlineData(IoStatus.IoError, Io)]
    public void SessionResult_Error_HasItsNumberOnTheWire(IoStatus status, uint error)
    {
        Export.Gate = _ => Task.FromResult(status);
        foreach (var structured in (bool[])[false, true])
        {
            using var client = NbdTestClient.Attach(Endpoint, structured: structured);
            Assert.Equal(error, client.Do(Read, 0, 4096).Error);
            Assert.Equal(error, client.Do(Write, 0, 4096, payload: new byte[4096]).Error);
            Assert.Equal(error, client.Do(Flush, 0, 0).Error);
        }
    }

    [Fact]
    public void Status_WithoutContext_IsInvalid()
    {
        using var client = NbdTestClient.Attach(Endpoint, structured: true);
        Assert.Equal(Invalid, client.Do(Status, 0, 4096).Error);
    }

    [Fact]
    public void Requests_ManyInOneSegment_AreAllAnswered()
    {
        using var client = NbdTestClient.Attach(Endpoint);
        var bytes = new List<byte>();
        for (ulong i = 0; i < 1000; i++)
        {
            bytes.AddRange(NbdTestClient.Request(Write, i, i * 512, 512));
            bytes.AddRange(Enumerable.Repeat((byte)i, 512));
        }

        client.Send(bytes.ToArray());
        var cookies = Enumerable.Range(0, 1000).Select(_ => client.ReceiveReply()).ToList();
        Assert.All(cookies, reply => Assert.Equal(0u, reply.Error));
        Assert.Equal(1000, cookies.Select(reply => reply.Cookie).Distinct().Count());
        Assert.Equal(Enumerable.Range(0, 1000).Select(i => (byte)i), Export.Snapshot(0, 512_000).Chunk(512).Select(block => block[511]));
    }

    [Fact]
    public void Request_ByteByByte_IsAnswered()
    {
        using var client = NbdTestClient.Attach(Endpoint);
        byte[] bytes = [.. NbdTestClient.Request(Write, 5, 0, 512), .. new byte[512], .. NbdTestClient.Request(Flush, 6, 0, 0)];
        foreach (var value in bytes) client.Send([value]);
        Assert.Equal(5ul, client.ReceiveReply().Cookie);
        Assert.Equal(6ul, client.ReceiveReply().Cookie);
    }

    [Fact]
    public void Cookies_Duplicate_AreAnsweredEach()
    {
        using var client = NbdTestClient.Attach(Endpoint);
        for (var i = 0; i < 3; i++) client.SendRequest(Flush, 9, 0, 0);
        for (var i = 0; i < 3; i++) Assert.Equal(9ul, client.ReceiveReply().Cookie);
    }
}

/// <summary>What a read-only export refuses.</summary>
public sealed class NbdReadOnlyTests : NbdServerFixture
{
    public override Task InitializeAsync()
    {
        Export = new MemoryExport(readOnly: true);
        return base.InitializeAsync();
    }

    [Fact]
    public void ReadOnlyExport_EveryChange_IsNotPermittedAndInStep()
    {
        using var client = NbdTestClient.Attach(Endpoint);
        var flags = (TransmissionFlags)client.Flags;
        Assert.True(flags.HasFlag(TransmissionFlags.ReadOnly));
        Assert.Equal(TransmissionFlags.None, flags & (TransmissionFlags.SendTrim | TransmissionFlags.SendWriteZeroes));
        Assert.Equal(1u, client.Do(1, 0, 4096, payload: new byte[4096]).Error);
        Assert.Equal(1u, client.Do(4, 0, 4096).Error);
        Assert.Equal(1u, client.Do(6, 0, 4096).Error);
        Assert.Equal(0u, client.Do(3, 0, 0).Error);
        Assert.Equal(0u, client.Do(0, 0, 4096).Error);
        Assert.Equal(["flush", "read 0+4096"], Export.Calls);
    }
}
