#if MUTANTS
using RaftMirror.ControlPlane.Model;
using RaftMirror.DataPlane.Devices;
using RaftMirror.DataPlane.Metadata;
using RaftMirror.Simulation.ControlPlane;
using RaftMirror.Simulation.Mirrors;
using Xunit.Abstractions;

namespace RaftMirror.Simulation.Disks;

/// <summary>Bugs of the code that tells what a disk is, put back: the mirrors' own checks of what clients read and lose must find those of the
/// verdict, the look at a disk that is to be taken those of the places.</summary>
public sealed class DiskMutantTests(ITestOutputHelper output)
{
    private const long Mib = 1 << 20;
    private const int Limit = 600;

    [Theory]
    [InlineData(nameof(DiskMutants.OlderBelieved))]
    [InlineData(nameof(DiskMutants.ForkBelieved))]
    [InlineData(nameof(DiskMutants.HoleBelieved))]
    public void Mutant_OtherDisksPutInPlace_ClientsSeeIt(string name)
    {
        for (ulong seed = 3; seed <= Limit; seed += 3)
        {
            var result = With(name, () => MirrorSimulation.Run(seed));
            var isSeen = result.Violation is { } why && (why.Contains("I-READ", StringComparison.Ordinal) || why.Contains("I-NOLOSS", StringComparison.Ordinal));
            if (!isSeen) continue;
            output.WriteLine($"{name}: found by seed {seed}: {result.Violation}");
            return;
        }

        Assert.Fail($"{name} was not found by what clients see in the seeds up to {Limit}.");
    }

    [Theory] // mdadm's metadata 1.0 lies 8 KiB before the end; btrfs keeps a copy at 64 MiB.
    [InlineData(nameof(DiskMutants.TailUnseen), (100 * Mib) - 8192, "fc4e2ba9")]
    [InlineData(nameof(DiskMutants.CopiesUnseen), (64 * Mib) + 64, "5f42485266535f4d")]
    public void Mutant_ForeignDisk_IsTakenForBlank(string name, long position, string magic)
    {
        using var disk = new MemoryBlockDevice("d", 100 * Mib);
        var sector = new byte[512];
        Convert.FromHexString(magic).CopyTo(sector, position % 512);
        Assert.Equal(DeviceStatus.Ok, disk.Write(position / 512 * 512, sector));
        Assert.Equal(DiskContent.Foreign, DiskProbe.Probe(disk, DiskLayout.MinMetadataBytes).Content);
        Assert.Equal(DiskContent.Blank, With(name, () => DiskProbe.Probe(disk, DiskLayout.MinMetadataBytes)).Content);
    }

    [Theory]
    [InlineData(nameof(StateMutants.MarksNotKept), "§14.5")] // A disk that is missing, or away for a while, comes back without what it missed.
    [InlineData(nameof(StateMutants.HangingDisksStay), "§14.5")] // What a dead node has in a disk's queue lands over what others wrote.
    [InlineData(nameof(StateMutants.StuckResyncsStay), "I-LIVE")] // Every node pays for one node's path.
    [InlineData(nameof(StateMutants.LegReturnsWaitForMergedLogs), "I-LIVE")] // A node that can use no disk is waited for, for ever.
    [InlineData(nameof(StateMutants.FormerBootsAreForgotten), "I-LIVE")] // A reboot does not end what is waited for.
    public void Mutant_OfTheState_IsFound(string name, string invariant)
    {
        StateMutants.Active = name;
        try
        {
            for (ulong seed = 1; seed <= 200; seed++)
            {
                var found = Record.Exception(() => ControlPlaneSuite.Run(seed, SeededBug.None, trace: null));
                if (found is null) continue;
                output.WriteLine($"{name}: found by seed {seed}: {found.Message}");
                Assert.StartsWith(invariant, found.Message, StringComparison.Ordinal);
                return;
            }
        }
        finally
        {
            StateMutants.Active = null;
        }

        Assert.Fail($"{name} was not found.");
    }

    private static T With<T>(string mutant, Func<T> run)
    {
        DiskMutants.Active = mutant;
        try
        {
            return run();
        }
        finally
        {
            DiskMutants.Active = null;
        }
    }
}
#endif
