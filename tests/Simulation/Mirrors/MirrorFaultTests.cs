using RaftMirror.DataPlane.Mirroring.Core;
using Xunit.Abstractions;

namespace RaftMirror.Simulation.Mirrors;

/// <summary>The proof that the checks of the mirror suite find bugs: each is put into the cores of all nodes. Not here is
/// IgnoreMergeOwed, which 300 seeds did not find (docs/testing.md).</summary>
public sealed class MirrorFaultTests(ITestOutputHelper output)
{
    [Theory]
    [InlineData(nameof(MirrorFaults.SubmitBeforeMark))]
    [InlineData(nameof(MirrorFaults.CleanOwedOrUnflushed))]
    [InlineData(nameof(MirrorFaults.FinishResyncWithoutCopy))]
    [InlineData(nameof(MirrorFaults.ReadOwedUnrepaired))]
    [InlineData(nameof(MirrorFaults.IgnoreWindows))]
    [InlineData(nameof(MirrorFaults.CopyWithoutRangeLock))]
    [InlineData(nameof(MirrorFaults.KeepServingAfterTransfer))]
    [InlineData(nameof(MirrorFaults.IgnoreLease))]
    [InlineData(nameof(MirrorFaults.ReadTargets))]
    [InlineData(nameof(MirrorFaults.AcknowledgePastFailedLeg))]
    [InlineData(nameof(MirrorFaults.ReleaseUndrained))]
    [InlineData(nameof(MirrorFaults.SkipDrainBarrier))]
    public void Fault_Simulated_IsFound(string name)
    {
        const int limit = 300;
        for (ulong seed = 1; seed <= limit; seed++)
        {
            var result = MirrorSimulation.Run(seed, Enum.Parse<MirrorFaults>(name));
            if (result.IsOk) continue;
            output.WriteLine($"{name}: found by seed {seed}: {result.Violation}");
            return;
        }

        Assert.Fail($"{name} was not found in {limit} seeds.");
    }
}
