using System.Collections.Immutable;
using Microsoft.Extensions.Logging.Abstractions;
using RaftMirror.Consensus.Model;
using RaftMirror.Contracts;
using RaftMirror.ControlPlane.Commands;
using RaftMirror.ControlPlane.Model;
using RaftMirror.DataPlane.Devices;
using RaftMirror.DataPlane.Metadata;
using RaftMirror.Node.Disks;
using RaftMirror.Node.Peers;
using RaftMirror.Node.State;
using RaftMirror.Primitives;
using Xunit;
using DiskStatus = RaftMirror.ControlPlane.Model.DiskStatus;

namespace RaftMirror.Node.Tests;

/// <summary>When a node may say that it can use a lost disk again, on files (design §14.20, §14.21).</summary>
public sealed class LostDiskTrialTests : IDisposable
{
    private const long DiskBytes = 256 << 20;
    private static readonly NodeIdentity Self = new("a", new NodeId(1), 7);
    private readonly string _path = Path.Combine(Path.GetTempPath(), $"rm-trial-{Guid.NewGuid():N}");
    private readonly ClusterState _labelled;

    public LostDiskTrialTests()
    {
        _labelled = Change(Samples.View().State, static set => set with { NextStamp = new StampState(5, Guid.NewGuid(), 1), OpenedStamps = [] }, disk => disk with
        {
            Path = _path,
            IsDirectIo = false,
        });
        using (var file = File.Create(_path)) file.SetLength(DiskBytes);
        Label(_labelled);
    }

    public void Dispose() => File.Delete(_path);

    [Fact]
    public async Task DiskAsItWas_CanBeUsed() => Assert.True(await CanUseAsync(Lost(_labelled)));

    [Fact]
    public async Task DiskThatIsNotLost_IsTheDataPlanesToTry() => Assert.False(await CanUseAsync(_labelled));

    [Fact] // What it has in the kernel may still land.
    public async Task CallOfThisNodeMayBeUnderWay_CannotBeUsed()
    {
        DiskUser[] own = [new("a", 7, "")], others = [new("b", 7, "")];
        Assert.False(await CanUseAsync(Change(Lost(_labelled), disk: disk => disk with { Users = [.. own] })));
        Assert.True(await CanUseAsync(Change(Lost(_labelled), disk: disk => disk with { Users = [.. others] })));
    }

    [Fact]
    public async Task NodeThatHasNotJoined_DoesNotTry() => Assert.False(await CanUseAsync(Change(
        Lost(_labelled), static set => set with { Members = set.Members.SetItem("a", set.Members["a"] with { JoinedIncarnation = 6 }) })));

    [Fact]
    public async Task AnotherDiskUnderItsPath_CannotBeUsedAndIsNotWrittenTo()
    {
        Label(Change(_labelled, disk: static disk => disk with { Id = Guid.NewGuid() }));
        var before = File.GetLastWriteTimeUtc(_path);
        Assert.False(await CanUseAsync(Lost(_labelled)));
        Assert.Equal(before, File.GetLastWriteTimeUtc(_path));
    }

    [Fact] // All data would be copied to the old one, which every node has to be able to use for that.
    public async Task OlderOrNewerDisk_OnlyTheOlderOneCanBeUsed()
    {
        var later = Lost(Change(_labelled, static set => set with { NextStamp = new StampState(9, Guid.NewGuid(), 2) }, static disk => disk with
        {
            Stamp = new StampState(8, Guid.NewGuid(), 2),
        }));
        Assert.True(await CanUseAsync(later));
        Label(Change(_labelled, static set => set with { NextStamp = new StampState(12, Guid.NewGuid(), 3) }));
        Assert.False(await CanUseAsync(later));
    }

    [Fact]
    public async Task PlaceThatFailed_MustBeReadable()
    {
        Assert.True(await CanUseAsync(Lost(_labelled), new ByteRange(DiskBytes - (3 << 20), 3 << 20)));
        Assert.False(await CanUseAsync(Lost(_labelled), new ByteRange(DiskBytes - 4096, 8192)));
    }

    [Fact] // It has said, or is about to say, that nothing of it is under way.
    public async Task NodeThatStops_WritesNothing()
    {
        var before = File.GetLastWriteTimeUtc(_path);
        Assert.False(await CanUseAsync(Lost(_labelled), mayWrite: false));
        Assert.Equal(before, File.GetLastWriteTimeUtc(_path));
    }

    [Fact] // A complaint stands without a look after another report of this node put it back: whoever looks at the disks begins one.
    public async Task ComplaintThatNobodyLooksAfter_IsLookedAfterAgain()
    {
        var fails = new DiskComplaint("d0", DiskLossReason.FailsHere, "EIO");
        var state = Change(Lost(_labelled), set => set with { Members = set.Members.SetItem("a", set.Members["a"] with { Disks = [fails], DisksBy = 7 }) });
        var looked = new List<string>();
        var feed = new StateFeed(state);
        var duties = new DiskDuties(
            Self, feed, Disks(feed), static _ => null, (set, disk) => looked.Add($"{set}/{disk}"),
            static (_, _) => throw new InvalidOperationException("Nothing has changed, so nothing is told."), NullLogger.Instance);
        var set = state.Sets["demo"];
        var (_, look) = duties.Due(state, set, set.Members["a"]).Single(static due => due.Key.StartsWith("look", StringComparison.Ordinal));
        Assert.Null(await look(CancellationToken.None));
        Assert.Equal(["demo/d0"], looked);
    }

    private static NodeDisks Disks(StateFeed feed) => new(
        Self, feed, static _ => ValueTask.CompletedTask,
        new ProofOfSameness(Self, static (_, _, _) => ValueTask.FromResult(new ProofReply(ProofStanding.Failed))), new DiskFinder([]), NullLogger.Instance);

    private static Task<bool> CanUseAsync(ClusterState state, ByteRange place = default, bool mayWrite = true) =>
        Disks(new StateFeed(state)).CanUseLostAsync("demo", "d0", place, () => mayWrite, CancellationToken.None);

    private void Label(ClusterState state)
    {
        var set = state.Sets["demo"];
        using var device = FileBlockDevice.Open("d0", _path, isDirect: false);
        Assert.Equal(DeviceStatus.Ok, LabelStore.Write(device, StateWords.Label(state, set, set.Disks["d0"], default)));
    }

    private static ClusterState Lost(ClusterState state) => Change(
        state, disk: disk => disk with { Status = DiskStatus.Lost, Stamp = disk.Stamp ?? state.Sets["demo"].NextStamp, LeftAt = state.Sets["demo"].NextStamp });

    private static ClusterState Change(ClusterState state, Func<SetState, SetState>? set = null, Func<DiskState, DiskState>? disk = null)
    {
        var changed = state.Sets["demo"];
        if (set is not null) changed = set(changed);
        // One disk: that of the samples' other one has the same id.
        var only = disk is null ? changed.Disks["d0"] : disk(changed.Disks["d0"]);
        return state with { Sets = state.Sets.SetItem("demo", changed with { Disks = OrdinalMap.Empty<DiskState>().Add("d0", only), Volumes = OrdinalMap.Empty<VolumeState>() }) };
    }
}
