using RaftMirror.DataPlane.Mirroring.Core;
using Xunit;
using Xunit.Abstractions;

namespace RaftMirror.Simulation.Mirrors;

public sealed class MirrorSimulationTests(ITestOutputHelper output)
{
    [Fact]
    public void Slice_ManySeeds_HoldEveryInvariant()
    {
        for (ulong seed = 1; seed <= 200; seed++)
        {
            var result = MirrorSimulation.Run(seed);
            Assert.True(result.IsOk, $"seed {seed}: {result.Violation} ({result.Figures})");
            if (seed % 40 == 0) output.WriteLine($"seed {seed}: {result.Figures}");
        }
    }

    [Theory] // Each way to be wrong must be found.
    [InlineData((int)MirrorFaults.SubmitBeforeMark, "I-LOG")]
    [InlineData((int)MirrorFaults.CleanOwedOrUnflushed, "I-CLEAN")]
    [InlineData((int)MirrorFaults.FinishResyncWithoutCopy, "I-NOLOSS")]
    [InlineData((int)MirrorFaults.IgnoreWindows, "I-WIN")]
    [InlineData((int)MirrorFaults.CopyWithoutRangeLock, "I-WIN")]
    [InlineData((int)MirrorFaults.KeepServingAfterTransfer, "I-OWN")]
    [InlineData((int)MirrorFaults.ReleaseUndrained, "I-OWN")]
    [InlineData((int)MirrorFaults.IgnoreLease, "I-FENCE")]
    [InlineData((int)MirrorFaults.ReadTargets, "I-SRC")]
    [InlineData((int)MirrorFaults.AcknowledgePastFailedLeg, "I-NOLOSS")]
    [InlineData((int)MirrorFaults.SkipDrainBarrier, "I-NOLOSS")]
    public void Mutant_IsFound(int fault, string invariant)
    {
        for (ulong seed = 1; seed <= 250; seed++)
        {
            if (MirrorSimulation.Run(seed, (MirrorFaults)fault).Violation?.Contains(invariant, StringComparison.Ordinal) == true) return;
        }

        Assert.Fail($"No seed found {(MirrorFaults)fault} as {invariant}.");
    }

    [Fact]
    public void Run_SameSeed_SameTrace()
    {
        var first = MirrorSimulation.Run(17);
        var second = MirrorSimulation.Run(17);
        Assert.Equal(first, second);
    }
}
