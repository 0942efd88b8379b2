using RaftMirror.DataPlane.Configuration;
using RaftMirror.DataPlane.Devices;
using RaftMirror.DataPlane.Exports;
using RaftMirror.DataPlane.Leases.Core;
using RaftMirror.DataPlane.Mirroring.Core;
using RaftMirror.Primitives;
using Xunit;

namespace RaftMirror.DataPlane.Tests.Mirroring;

/// <summary>Full disks (design §14.22): the rule, what the core makes of it, and how legs are evened out.</summary>
public sealed class FullLegsTests
{
    private const int NoSpaceErrno = 28;
    private const DeviceStatus Full = DeviceStatus.NoSpace;
    private readonly MirrorCore _core = new("a", 1, 1, new MirrorOptions());
    private long _now = 1_000_000;
    private ulong _index = 1;

    [Theory]
    [InlineData("ok ok", nameof(FullVerdict.NoneFull))]
    [InlineData("ok full", nameof(FullVerdict.FullLegsAreLost))]
    [InlineData("full full", nameof(FullVerdict.NoSpace))]
    [InlineData("full error", nameof(FullVerdict.NoSpace))] // The error loses its leg; the full one is then the last that is right.
    [InlineData("full lost", nameof(FullVerdict.NoSpace))]
    [InlineData("lost-ok full", nameof(FullVerdict.NoSpace))] // What a lost leg took counts for nothing.
    [InlineData("full target-ok", nameof(FullVerdict.NoSpace))] // A target is no source: its bytes save nobody.
    [InlineData("ok target-full", nameof(FullVerdict.FullLegsAreLost))]
    [InlineData("full full ok", nameof(FullVerdict.FullLegsAreLost))]
    [InlineData("full error full", nameof(FullVerdict.NoSpace))]
    [InlineData("ok@1 full@1", nameof(FullVerdict.NoSpace))] // One file system under both: who got the last block is chance.
    [InlineData("ok@1 full@2", nameof(FullVerdict.FullLegsAreLost))]
    [InlineData("ok@1 full@1 ok@2", nameof(FullVerdict.FullLegsAreLost))]
    [InlineData("ok@0 full@0", nameof(FullVerdict.FullLegsAreLost))] // Not known is not the same.
    public void Judge_Outcomes_AreDecidedByWhoHasTheBytes(string outcomes, string expected) =>
        Assert.Equal(Enum.Parse<FullVerdict>(expected), FullLegs.Judge(outcomes.Split(' ').Select(Parse).ToArray()));

    [Theory] // A leg of several extents: a fault outranks a lack of space, whatever came first.
    [InlineData(Full, DeviceStatus.IoError, DeviceStatus.IoError)]
    [InlineData(DeviceStatus.IoError, Full, DeviceStatus.IoError)]
    [InlineData(DeviceStatus.Ok, Full, Full)]
    [InlineData(Full, DeviceStatus.Ok, Full)]
    public void Worse_TwoCallsOfOneLeg_KeepsTheFault(DeviceStatus first, DeviceStatus second, DeviceStatus expected) =>
        Assert.Equal(expected, FullLegs.Worse(first, second));

    [Fact] // All full: evened out, then told; no leg is reported.
    public void Write_AllLegsFull_EvensOutAndTellsNoSpace()
    {
        Serve();
        var writes = Submit();
        End(writes[0], Full);
        Assert.Empty(Take());
        End(writes[1], Full);
        var even = Assert.Single(Take());
        Assert.Equal(EffectKind.EvenOut, even.Kind);
        Assert.Equal(2, ((EvenOutPlan)even.Payload!).Sources);
        _core.EvenedOut(_now, even.Id, Good);
        Assert.Equal([new MirrorEffect(EffectKind.Reply, 10, Status: IoStatus.NoSpace)], Take());
        Assert.Equal((_now, "d1", NoSpaceErrno), _core.LastNoSpace);
    }

    [Fact] // One has the bytes: the other is lost, the cause names what it lacked, and the write is acknowledged after the commit.
    public void Write_OneLegFull_IsLostWithErrnoAndTheWriteStands()
    {
        Serve();
        var writes = Submit();
        End(writes[1], Full);
        Assert.Empty(Take());
        End(writes[0], DeviceStatus.Ok);
        var report = (LegFailureReport)Assert.Single(Take()).Payload!;
        Assert.Equal(new LegFailureReport("l1", "d1", LegFailureReason.NoSpace, true, _index, NoSpaceErrno, "l0"), report);
        Assert.Contains("No space left on device (ENOSPC, errno 28)", report.Text, StringComparison.Ordinal);
        Configure(LegState.Okay, LegState.Maintenance);
        Assert.Equal([new MirrorEffect(EffectKind.Reply, 10, Status: IoStatus.Ok)], Take());
    }

    [Fact] // Each leg is lost by a disk of its own.
    public void Write_TwoLegsFull_AreReportedWithTheirOwnDisks()
    {
        Serve(LegState.Okay);
        var writes = Submit(legs: 3);
        End(writes[0], Full);
        End(writes[2], Full);
        End(writes[1], DeviceStatus.Ok);
        Assert.Equal(
            [("l0", "d0", "l1"), ("l2", "d2", "l1")],
            Take().Select(effect => (LegFailureReport)effect.Payload!).Select(report => (report.Leg, report.Disk, report.HeldBy!)));
    }

    [Fact] // Another node found the leg full that has the bytes: then none has them all, and no further leg is lost.
    public void Write_TheLegThatHasTheBytesIsLostMeanwhile_IsJudgedAnew()
    {
        Serve(LegState.Okay);
        var writes = Submit(legs: 3);
        End(writes[0], Full);
        End(writes[1], Full);
        End(writes[2], DeviceStatus.Ok);
        Assert.Equal(2, Take().Count(static effect => effect.Kind == EffectKind.LegFailed));
        Configure(LegState.Okay, LegState.Okay, LegState.Maintenance);
        var even = Assert.Single(Take());
        Assert.Equal(EffectKind.EvenOut, even.Kind);
        _core.EvenedOut(_now, even.Id, Good);
        Assert.Equal([new MirrorEffect(EffectKind.Reply, 10, Status: IoStatus.NoSpace)], Take());
        _core.Tick(_now + 60_000_000_000);
        Assert.DoesNotContain(Take(), static effect => effect.Kind == EffectKind.LegFailed);
    }

    [Fact] // Full here, broken there: the broken leg is lost, the full one is not, and the client is told the truth.
    public void Write_OneFullOneBroken_LosesTheBrokenOneOnly()
    {
        Serve();
        var writes = Submit();
        End(writes[0], Full);
        End(writes[1], DeviceStatus.IoError, 5);
        var report = (LegFailureReport)Assert.Single(Take()).Payload!;
        Assert.Equal(("l1", LegFailureReason.WriteError), (report.Leg, report.Reason));
        Configure(LegState.Okay, LegState.Maintenance);
        Assert.Equal([new MirrorEffect(EffectKind.Reply, 10, Status: IoStatus.NoSpace)], Take());
    }

    [Fact] // What one leg took and no other has room for: that leg cannot be undone only where the file system never writes in place.
    public void Evening_ThatFails_LosesTheLegItNames()
    {
        Serve();
        foreach (var write in Submit()) End(write, Full);
        var even = Assert.Single(Take());
        _core.EvenedOut(_now, even.Id, new CopyResult(Full, 1, "d1", true, 0, 0) { Errno = NoSpaceErrno });
        var report = (LegFailureReport)Assert.Single(Take()).Payload!;
        Assert.Equal(("l1", LegFailureReason.NoSpace), (report.Leg, report.Reason));
        Configure(LegState.Okay, LegState.Maintenance);
        Assert.Equal([new MirrorEffect(EffectKind.Reply, 10, Status: IoStatus.NoSpace)], Take());
    }

    [Fact] // The lease ended on the way: it is evened out once there is one again, and nothing is told before.
    public void Evening_WithoutLease_IsDoneAgain()
    {
        Serve();
        foreach (var write in Submit()) End(write, Full);
        var even = Assert.Single(Take());
        _core.EvenedOut(_now, even.Id, new CopyResult(DeviceStatus.IoError, 0, null, false, 0, 0, IsLeaseLost: true));
        var again = Assert.Single(Take());
        Assert.Equal(EffectKind.EvenOut, again.Kind);
        _core.EvenedOut(_now, again.Id, Good);
        Assert.Equal(IoStatus.NoSpace, Assert.Single(Take()).Status);
    }

    [Fact] // The next write of the range is one like any other.
    public void Write_AfterSpaceCame_IsAcknowledged()
    {
        Write_AllLegsFull_EvensOutAndTellsNoSpace();
        foreach (var write in Submit()) End(write, DeviceStatus.Ok);
        Assert.Equal([new MirrorEffect(EffectKind.Reply, 10, Status: IoStatus.Ok)], Take());
    }

    [Fact] // Torn differently on two full disks: equal afterwards, each block from a leg whose bytes fit on the other.
    public void EvenOut_TornOnTwoFullDisks_MakesThemEqual()
    {
        var (a, b) = (new SparseDevice(8), new SparseDevice(8));
        a.Put(1, 7);
        b.Put(5, 7);
        (a.IsFull, b.IsFull) = (true, true);
        var result = EvenOut(Plan(0, 8 * 4096), Find);
        Assert.Equal(DeviceStatus.Ok, result.Status);
        Assert.Equal(a.Content, b.Content);
        Assert.Equal(0, a.Content[(1 * 4096) + 100]); // Nothing fitted but what was there before.
        Assert.Equal(0, b.Content[(5 * 4096) + 100]);

        IBlockDevice Find(string name) => name == "a" ? a : b;
    }

    [Fact] // A range that begins and ends inside blocks, over more than one slice.
    public void EvenOut_UnalignedLongRange_TouchesNothingElse()
    {
        const int blocks = 600;
        var (a, b) = (new SparseDevice(blocks), new SparseDevice(blocks));
        for (var block = 0; block < blocks; block++) a.Put(block, 9);
        b.IsFull = true;
        var result = EvenOut(Plan(512, ((blocks - 1) * 4096) - 1024), Find);
        Assert.Equal(DeviceStatus.Ok, result.Status);
        var end = 512 + ((blocks - 1) * 4096) - 1024;
        Assert.All(a.Content[..512], value => Assert.Equal(9, value));
        Assert.True(a.Content.AsSpan(512, end - 512).IndexOfAnyExcept((byte)0) < 0);
        Assert.All(a.Content[end..], value => Assert.Equal(9, value));

        IBlockDevice Find(string name) => name == "a" ? a : b;
    }

    [Fact] // Neither direction fits: the leg that lacks is named.
    public void EvenOut_NoDirectionFits_NamesALeg()
    {
        var (a, b) = (new SparseDevice(2) { NeverWritesInPlace = true }, new SparseDevice(2) { NeverWritesInPlace = true });
        a.Put(0, 7);
        (a.IsFull, b.IsFull) = (true, true);
        var result = EvenOut(Plan(0, 4096), name => name == "a" ? a : b);
        Assert.Equal((Full, true), (result.Status, result.WasWrite));
    }

    private static CopyResult EvenOut(EvenOutPlan plan, Func<string, IBlockDevice> find)
    {
        var buffers = plan.Legs.Select(_ => AlignedBufferPool.Shared.Rent((int)Math.Min(EveningWork.SliceBytes, plan.Range.Length))).ToArray();
        var work = new EveningWork(plan, buffers);
        while (work.TryNext(out var step))
        {
            var bytes = buffers[step.Buffer].GetSpan().Slice(step.BufferOffset, step.Length);
            var status = step.IsWrite ? find(step.Disk).Write(step.DiskOffset, bytes) : find(step.Disk).Read(step.DiskOffset, bytes);
            work.Ended(status, 0);
        }

        foreach (var buffer in buffers) buffer.Dispose();
        return work.Result;
    }

    private static EvenOutPlan Plan(long start, long length) => new(
        new ByteRange(start, length), [[new LegPart("a", start, 0, length)], [new LegPart("b", start, 0, length)]], 2);

    private static CopyResult Good => new(DeviceStatus.Ok, 0, null, false, 0, 0);

    private static LegOutcome Parse(string text)
    {
        var (word, space) = (text.Split('@')[0], text.Contains('@', StringComparison.Ordinal) ? ulong.Parse(text.Split('@')[1]) : 0);
        var status = word.Split('-')[^1] switch
        {
            "ok" => DeviceStatus.Ok,
            "full" => Full,
            _ => DeviceStatus.IoError,
        };
        return word.StartsWith("lost", StringComparison.Ordinal) ? new LegOutcome(status, false, false, space)
            : new LegOutcome(status, !word.StartsWith("target", StringComparison.Ordinal), true, space);
    }

    private MirrorEffect[] Submit(int legs = 2)
    {
        _core.Submit(_now, new MirrorRequest(10, RequestKind.Write, new ByteRange(4096, 4096), 0));
        var writes = Take();
        Assert.Equal(Enumerable.Repeat(EffectKind.LegWrite, legs), writes.Select(static effect => effect.Kind));
        return writes;
    }

    private void End(MirrorEffect effect, DeviceStatus status, int errno = NoSpaceErrno) =>
        _core.IoCompleted(_now, effect.Id, effect.Leg, status, effect.Name!, errno: status == DeviceStatus.Ok ? 0 : errno);

    private MirrorEffect[] Take()
    {
        var effects = _core.Effects.ToArray();
        _core.Effects.Clear();
        return effects;
    }

    private void Serve(LegState? third = null)
    {
        Configure(LegState.Okay, LegState.Okay, third);
        _core.LeaseGranted(_now, new LeaseGrant(_now, 60_000_000_000, _index, 1, 1));
        _core.SessionOpened(_now, 0, _now);
        Take();
    }

    private void Configure(LegState first, LegState second, LegState? third = null)
    {
        _now += 1_000_000;
        var member = new MemberConfiguration("a", 0, 1, MemberPhase.Up, true, false);
        LegConfiguration Leg(string name, string disk, LegState state) =>
            new(name, state, [new ExtentConfiguration(disk, 0, 0, 1 << 20)]);
        LegConfiguration[] legs = [Leg("l0", "d0", first), Leg("l1", "d1", second)];
        if (third is { } state) legs = [.. legs, Leg("l2", "d2", state)];
        _core.ConfigurationChanged(_now, new VolumeView(++_index, "a", [member], new VolumeConfiguration(
            1, "s/v", 1 << 20, 1 << 16, RecoveryMode.App, WriterMode.All, ReadPolicy.First,
            legs, new OwnerConfiguration(null, 0, 1, null), null, false, [])));
    }

    /// <summary>A sparse file: blocks have space once they were written, and find none when the file system is full.</summary>
    private sealed class SparseDevice(int blocks) : IBlockDevice
    {
        private readonly bool[] _isAllocated = new bool[blocks];

        public byte[] Content { get; } = new byte[blocks * 4096];

        public bool IsFull { get; set; }

        public bool NeverWritesInPlace { get; init; }

        public string Name => "sparse";

        public long SizeBytes => Content.Length;

        public int SectorBytes => 512;

        public void Put(int block, byte value)
        {
            _isAllocated[block] = true;
            Content.AsSpan(block * 4096, 4096).Fill(value);
        }

        public DeviceStatus Read(long offset, Span<byte> buffer)
        {
            Content.AsSpan((int)offset, buffer.Length).CopyTo(buffer);
            return DeviceStatus.Ok;
        }

        public DeviceStatus Write(long offset, ReadOnlySpan<byte> buffer)
        {
            for (var at = 0; at < buffer.Length; at += 512)
            {
                var block = (offset + at) / 4096;
                if (IsFull && (!_isAllocated[block] || NeverWritesInPlace)) return Full;
                _isAllocated[block] = true;
                buffer.Slice(at, 512).CopyTo(Content.AsSpan((int)offset + at));
            }

            return DeviceStatus.Ok;
        }

        public DeviceStatus Flush() => DeviceStatus.Ok;

        public DeviceStatus Trim(long offset, long lengthBytes) => DeviceStatus.Ok;

        public DeviceStatus WriteZeroes(long offset, long lengthBytes, bool mayUnmap) => Write(offset, new byte[lengthBytes]);

        public void Dispose()
        {
        }
    }
}
