using RaftMirror.DataPlane.Devices;
using RaftMirror.DataPlane.Metadata;
using Xunit;

namespace RaftMirror.DataPlane.Tests.Metadata;

/// <summary>A disk is found by its label where its path has changed (design §14.21); only its label is believed.</summary>
public sealed class DiskFinderTests : IDisposable
{
    private const long Size = 16 << 20;
    private static readonly Guid Cluster = Guid.NewGuid();
    private static readonly Guid Set = Guid.NewGuid();
    private static readonly Guid First = Guid.NewGuid();
    private static readonly Guid Second = Guid.NewGuid();
    private readonly string _directory = Directory.CreateTempSubdirectory("rm-find-").FullName;
    private readonly DiskFinder _finder;

    public DiskFinderTests() => _finder = new DiskFinder([Path.Combine(_directory, "nosuch"), Sub("by-id")]);

    public void Dispose() => Directory.Delete(_directory, recursive: true);

    [Fact]
    public void Find_UnderItsPath_LooksNowhereElse()
    {
        var path = Label("sda", First);
        Label("by-id/copy", First);
        Assert.Equal(new DiskPlace(path, false, null), _finder.Find(Ids(First), path, []));
    }

    [Fact] // sda and sdb exchanged.
    public void Find_NamesExchanged_FindsEachUnderTheOthersPath()
    {
        var (sda, sdb) = (Label("sda", Second), Label("sdb", First));
        Assert.Equal(new DiskPlace(sdb, true, null), _finder.Find(Ids(First), sda, [sdb]));
        Assert.Equal(new DiskPlace(sda, true, null), _finder.Find(Ids(Second), sdb, [sda]));
    }

    [Fact] // Several links to one disk are one place; what is no disk is passed over.
    public void Find_Moved_FindsItInADirectoryByItsLabel()
    {
        var target = Label("elsewhere", First);
        File.CreateSymbolicLink(Path.Combine(_directory, "by-id", "scsi-1"), target);
        File.CreateSymbolicLink(Path.Combine(_directory, "by-id", "wwn-1"), target);
        File.CreateSymbolicLink(Path.Combine(_directory, "by-id", "null"), "/dev/null");
        File.CreateSymbolicLink(Path.Combine(_directory, "by-id", "gone"), Path.Combine(_directory, "gone"));
        Label("by-id/other", Second);
        File.WriteAllBytes(Path.Combine(_directory, "by-id", "short"), [1, 2, 3]);
        var found = _finder.Find(Ids(First), Path.Combine(_directory, "sda"), []);
        Assert.Equal(new DiskPlace(Path.Combine(_directory, "by-id", "scsi-1"), true, null), found);
    }

    [Fact] // A device that hangs at its opening: the disk may be at the next path.
    public void Ask_OnePathHangs_IsPassedOverUntilItsLookHasEnded()
    {
        var looks = new BoundedLooks(TimeSpan.FromMilliseconds(100));
        using var answers = new ManualResetEventSlim();
        var asked = 0;
        bool Hang()
        {
            Interlocked.Increment(ref asked);
            answers.Wait();
            return true;
        }

        Assert.False(looks.Ask("hangs", Hang));
        Assert.False(looks.Ask("hangs", Hang));
        Assert.Equal(1, asked);
        Assert.False(looks.Ask("not it", static () => false));
        Assert.True(SpinWait.SpinUntil(() => looks.Ask("next", static () => true), TimeSpan.FromSeconds(30)));
        answers.Set();
        Assert.True(SpinWait.SpinUntil(() => looks.Ask("hangs", Hang), TimeSpan.FromSeconds(30)));
    }

    [Fact] // A copy beside the disk: nobody guesses which one is meant.
    public void Find_TwoCarryItsLabel_TakesNeither()
    {
        Label("by-id/one", First);
        Label("by-id/two", First);
        var configured = Path.Combine(_directory, "sda");
        var found = _finder.Find(Ids(First), configured, []);
        Assert.Equal(configured, found.Path);
        Assert.Contains("by-id/two both carry its label", found.Doubt);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void Find_OtherClusterOrSet_IsNotIt(bool otherCluster)
    {
        var path = Label("by-id/x", First);
        var ids = otherCluster ? Ids(First) with { Cluster = Guid.NewGuid() } : Ids(First) with { Set = Guid.NewGuid() };
        Assert.False(_finder.Find(ids, path, []).IsElsewhere);
        Assert.False(DiskFinder.Carries(path, ids));
    }

    private static DiskIds Ids(Guid disk) => new(Cluster, Set, disk);

    private string Sub(string name) => Directory.CreateDirectory(Path.Combine(_directory, name)).FullName;

    private string Label(string name, Guid disk)
    {
        var path = Path.Combine(_directory, name);
        using (var file = File.Create(path)) file.SetLength(Size);
        using var device = FileBlockDevice.Open(name, path, isDirect: false);
        var label = new DiskLabel(Cluster, Set, disk, Size, 4 << 20, 16, 0, 1 << 16, 1, 1);
        Assert.Equal(DeviceStatus.Ok, LabelStore.Write(device, label));
        return path;
    }
}
