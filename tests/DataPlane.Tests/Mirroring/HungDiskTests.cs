using RaftMirror.DataPlane.Configuration;
using RaftMirror.DataPlane.Devices;
using RaftMirror.DataPlane.DiskIo.Core;
using RaftMirror.DataPlane.Exports;
using Xunit;

namespace RaftMirror.DataPlane.Tests.Mirroring;

/// <summary>A disk that neither answers nor fails (design §14.20).</summary>
public sealed class HungDiskTests
{
    private static readonly TimeSpan Limit = TimeSpan.FromSeconds(20);

    [Fact]
    public async Task WriteHangsOnALeg_LegIsCommittedAsLost_IsAnsweredAndReadsGoOn()
    {
        await using var set = new TestSet(WriterMode.One, RecoveryMode.Log, "a");
        set.Lease();
        using var a = await set.OpenAsync("a");
        var hold = new ManualResetEventSlim(); // The set lets go of it when it ends: a failed test must not hang.
        set.Disks["d1"].Hold = hold;
        var write = WriteAsync(a, 0, 2);
        await TestSet.WaitAsync(() => set.Disks["d1"].Held == 1);
        Assert.False(write.IsCompleted);
        Lose(set, "b");
        Assert.Equal(IoStatus.Ok, await write.WaitAsync(Limit));
        Assert.Equal(IoStatus.Ok, await WriteAsync(a, 0, 3).WaitAsync(Limit)); // The range is free.
        hold.Set(); // The late write lands on the lost leg, and nowhere else.
        await TestSet.WaitAsync(() => set.Disks["d1"].Content()[0] == 2);
        Assert.Equal(3, set.Disks["d0"].Content()[0]);
    }

    [Fact] // The late read fills the buffer that it was given, which must not be the one that is sent.
    public async Task ReadHangsOnALeg_LegIsCommittedAsLost_IsAnsweredFromAnotherLegInAnotherBuffer()
    {
        await using var set = new TestSet(WriterMode.All, RecoveryMode.App, "a");
        set.Lease();
        using var a = await set.OpenAsync("a");
        Assert.Equal(IoStatus.Ok, await WriteAsync(a, 0, 5));
        var hold = new ManualResetEventSlim();
        set.Disks["d0"].HoldReads = hold;
        set.Change(volume => volume with { Read = ReadPolicy.First });
        var buffer = AlignedBufferPool.Shared.Rent(4096);
        var owner = new Owner(buffer);
        buffer.GetSpan().Clear();
        var read = a.ReadAsync(0, buffer.Memory[..4096], owner).AsTask();
        await TestSet.WaitAsync(() => set.Disks["d0"].HeldReads == 1);
        Lose(set, "a");
        Assert.Equal(IoStatus.Ok, await read.WaitAsync(Limit));
        Assert.NotSame(buffer, owner.Buffer);
        Assert.Equal(5, owner.Buffer.GetSpan()[0]);
        set.Disks["d0"].Inner.Write(0, Enumerable.Repeat((byte)9, 4096).ToArray()); // What the late read will find.
        hold.Set();
        await TestSet.WaitAsync(() => set.Disks["d0"].HeldReads == 0);
        Assert.Equal(5, owner.Buffer.GetSpan()[0]);
        owner.Buffer.Dispose();
    }

    [Fact] // The last readable leg is waited for; within the bound the client is let go, and the range stays locked.
    public async Task WriteHangsOnTheLastLeg_ClientIsDroppedAfterTheBoundAndOverlappingWritesWait()
    {
        await using var set = new TestSet(WriterMode.One, RecoveryMode.Log, "a");
        set.Lease();
        using var a = await set.OpenAsync("a");
        Assert.Equal(IoStatus.Ok, await WriteAsync(a, 0, 1));
        Lose(set, "b");
        var hold = new ManualResetEventSlim();
        set.Disks["d0"].Hold = hold;
        var stuck = WriteAsync(a, 0, 2);
        await TestSet.WaitAsync(() => set.Disks["d0"].Held == 1);
        Assert.Equal(IoStatus.Drop, await stuck.WaitAsync(Limit));
        Assert.False(hold.IsSet);
        var overlapping = WriteAsync(a, 0, 3);
        await TestSet.WaitAsync(() => set["a"].Statistics() is [{ RequestsInFlight: 1, Wait.Disk: "d0" }]);
        Assert.False(overlapping.IsCompleted);
        set.Disks["d0"].Hold = null;
        hold.Set();
        Assert.Equal(IoStatus.Ok, await overlapping.WaitAsync(Limit));
        Assert.Equal(3, set.Disks["d0"].Content()[0]);
    }

    [Fact] // It has reached no leg, so nothing is waited for but its mark: it ends within the bound like every other, and holds nothing then.
    public async Task MarkInTheDirtyLogHangs_WriteIsDroppedAfterTheBoundAndTheNextGoesOnOnceItIsDurable()
    {
        await using var set = new TestSet(WriterMode.One, RecoveryMode.Log, "a");
        set.Lease();
        using var a = await set.OpenAsync("a");
        Assert.Equal(IoStatus.Ok, await WriteAsync(a, 0, 1));
        var hold = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        set.HoldLog = hold;
        var stuck = WriteAsync(a, 4 * TestSet.RegionBytes, 2);
        await TestSet.WaitAsync(() => set["a"].Statistics() is [{ RequestsInFlight: 1, Held.Reason: HoldReason.Marks }]);
        Assert.Equal(IoStatus.Drop, await stuck.WaitAsync(Limit));
        var next = WriteAsync(a, 4 * TestSet.RegionBytes, 3);
        set.HoldLog = null;
        hold.SetResult();
        Assert.Equal(IoStatus.Ok, await next.WaitAsync(Limit));
        Assert.All(set.Disks.Values, static disk => Assert.Equal(3, disk.Content()[4 * TestSet.RegionBytes]));
    }

    [Fact] // A log that fails is opened anew and may fail again: each time the write starts over, and its bound is that of its arrival.
    public async Task DirtyLogFailsAgainAndAgain_WriteIsDroppedAfterTheBound()
    {
        await using var set = new TestSet(WriterMode.One, RecoveryMode.Log, "a");
        set.Lease();
        using var a = await set.OpenAsync("a");
        Assert.Equal(IoStatus.Ok, await WriteAsync(a, 0, 1));
        set.FailsLog = true;
        Assert.Equal(IoStatus.Drop, await WriteAsync(a, 4 * TestSet.RegionBytes, 2).WaitAsync(Limit));
    }

    [Fact] // The next data plane of the node has no port to the disk, which says nothing of what the former one left in the kernel.
    public async Task DataPlaneEndsWithACallInTheKernel_ItsSuccessorDoesNotSayThatNoneIsLeftBeforeItCameBack()
    {
        await using var set = new TestSet(WriterMode.One, RecoveryMode.Log, "a");
        set.Lease();
        using var a = await set.OpenAsync("a");
        var hold = new ManualResetEventSlim();
        set.Disks["d1"].Hold = hold;
        var write = WriteAsync(a, 0, 2);
        await TestSet.WaitAsync(() => set.Disks["d1"].Held == 1);
        set.LoseDisk("d1", "b");
        Assert.Equal(IoStatus.Ok, await write.WaitAsync(Limit));
        Assert.False(await set["a"].EndAsync().WaitAsync(Limit), "a call is left, so it is not clean");

        set.BeginAgain("a");
        set.Lease();
        await set.PassedAsync("a");
        Assert.Empty(set.IoEnded);
        Assert.False(await set["a"].EndAsync().WaitAsync(Limit), "nor does it leave as if nothing were left");
        set.BeginAgain("a");
        hold.Set();
        await TestSet.WaitAsync(() => set.IoEnded.Contains("a d1"));
        Assert.Equal(2, set.Disks["d1"].Content()[0]); // It landed, before that was said.
    }

    [Fact] // It counted as an error of the disk, so that one node's bad way cost the set a good submirror while others had not opened it yet.
    public async Task Probe_DiskIsBeingOpenedAndIsRefused_HasNoAnswer()
    {
        await using var set = new TestSet(WriterMode.All, RecoveryMode.Log, "a");
        set.Lease();
        await set.PassedAsync("a");
        await set["a"].EndAsync().WaitAsync(Limit);
        var until = new ManualResetEventSlim(); // Not disposed: the set opens the disk again until it ends.
        set.Unproven = ("d1", until);
        set.BeginAgain("a");
        await TestSet.WaitAsync(() => set.IsOpeningUnproven);
        var answer = set["a"].ProbeDiskAsync("d1");
        until.Set();
        Assert.Equal(DiskAnswer.Unknown, await answer.WaitAsync(Limit));
        await TestSet.WaitAsync(async () => await set["a"].ProbeDiskAsync("d0") == DiskAnswer.Fine); // Once it is open.
    }

    private static void Lose(TestSet set, string leg) => set.Change(volume => volume with
    {
        Legs = volume.Legs.Select(other => other.Name == leg ? other with { State = LegState.Offline } : other).ToArray(),
    });

    private static async Task<IoStatus> WriteAsync(IExportSession session, long offset, byte value)
    {
        using var buffer = AlignedBufferPool.Shared.Rent(4096);
        buffer.GetSpan()[..4096].Fill(value);
        return await session.WriteAsync(offset, buffer.Memory[..4096], false);
    }

    private sealed class Owner(AlignedBuffer buffer) : IReadBuffer
    {
        public AlignedBuffer Buffer { get; private set; } = buffer;

        public void Replace(AlignedBuffer buffer)
        {
            Buffer.Dispose();
            Buffer = buffer;
        }
    }
}
