using RaftMirror.DataPlane.Mirroring.Core;
using Xunit.Abstractions;

namespace RaftMirror.Simulation.Mirrors;

/// <summary>The proof that the checks of the mirror suite find bugs: each is put into the cores of all nodes, and counts as found when the
/// named invariant's check says so. That the cluster merely does not come to rest (I-LIVE) is not enough.</summary>
public sealed class MirrorFaultTests(ITestOutputHelper output)
{
    [Theory]
    [InlineData(nameof(MirrorFaults.SubmitBeforeMark), "I-LOG")]
    [InlineData(nameof(MirrorFaults.CleanOwedOrUnflushed), "I-CLEAN")]
    [InlineData(nameof(MirrorFaults.FinishResyncWithoutCopy), "I-NOLOSS")]
    [InlineData(nameof(MirrorFaults.ReadOwedUnrepaired), "I-READ")]
    [InlineData(nameof(MirrorFaults.IgnoreWindows), "I-WIN")]
    [InlineData(nameof(MirrorFaults.CopyWithoutRangeLock), "I-WIN")]
    [InlineData(nameof(MirrorFaults.KeepServingAfterTransfer), "I-OWN")]
    [InlineData(nameof(MirrorFaults.IgnoreLease), "I-FENCE")]
    [InlineData(nameof(MirrorFaults.ReadTargets), "I-SRC")]
    [InlineData(nameof(MirrorFaults.AcknowledgePastFailedLeg), "I-NOLOSS")]
    [InlineData(nameof(MirrorFaults.ReleaseUndrained), "I-OWN")]
    [InlineData(nameof(MirrorFaults.SkipDrainBarrier), "I-NOLOSS")]
    [InlineData(nameof(MirrorFaults.IgnoreMergeOwed), "I-READ")]
    [InlineData(nameof(MirrorFaults.WaitForLostLeg), "I-LIVE the loss of a leg")]
    [InlineData(nameof(MirrorFaults.HoldOverdueMarks), "waits past its bound")]
    [InlineData(nameof(MirrorFaults.ReturnWithIoOutstanding), "I-NOLOSS")]
    [InlineData(nameof(MirrorFaults.CleanWhileOffline), "I-NOLOSS")]
    [InlineData(nameof(MirrorFaults.ForgetMarksOnReturn), "I-NOLOSS")]
    [InlineData(nameof(MirrorFaults.AdmitUnserved), "I-GO")]
    [InlineData(nameof(MirrorFaults.SkipGivenUpHold), "I-GIVEN")]
    [InlineData(nameof(MirrorFaults.AgeFromRead), "I-GIVEN")]
    [InlineData(nameof(MirrorFaults.UnlistedAtSubmit), "I-GIVEN")]
    [InlineData(nameof(MirrorFaults.IgnoreSilentPeer), "I-GIVEN")]
    [InlineData(nameof(MirrorFaults.SessionUnannounced), "I-GIVEN")]
    [InlineData(nameof(MirrorFaults.LoseFullLegs), "I-FULL")]
    [InlineData(nameof(MirrorFaults.LeaveUneven), "I-READ")]
    public void Fault_Simulated_IsFound(string name, string by) => Find(name, by, seed => MirrorSimulation.Run(seed, Enum.Parse<MirrorFaults>(name)));

    [Fact] // One node's paths lead to copies whose labels are right.
    public void CopyForOneNode_BelievedByItsLabelAlone_IsFound() =>
        Find(nameof(ExchangeBug.SkipsProof), "I-SAME", seed => MirrorSimulation.Run(seed, exchange: ExchangeBug.SkipsProof));

    private void Find(string name, string by, Func<ulong, MirrorResult> run)
    {
        const int limit = 1000;
        for (ulong seed = 1; seed <= limit; seed++)
        {
            var result = run(seed);
            if (result.IsOk || !result.Violation!.Contains(by, StringComparison.Ordinal)) continue;
            output.WriteLine($"{name}: found by seed {seed}: {result.Violation}");
            return;
        }

        Assert.Fail($"{name} was not found by {by} in {limit} seeds.");
    }
}
