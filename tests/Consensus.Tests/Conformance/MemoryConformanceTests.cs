using System.Reflection;
using RaftMirror.Conformance;

namespace RaftMirror.Consensus.Tests.Conformance;

/// <summary>The suite on a backend that has nothing of our engine.</summary>
public sealed class MemoryConformanceTests : ReplicatedLogConformance
{
    protected override Task<ILogCluster> StartAsync(int size, TimeSpan? requestLimit = null) =>
        Task.FromResult<ILogCluster>(new MemoryCluster(size, requestLimit, MemoryBug.None));
}

/// <summary>The suite can fail: each mistake of a backend is found by a test of it.</summary>
public sealed class BrokenBackendTests
{
    [Theory]
    [InlineData(MemoryBug.StaleBarrier, nameof(ReplicatedLogConformance.ReadBarrier_OnEveryNode_SeesWhatWasAcknowledgedBefore))]
    [InlineData(MemoryBug.BarrierWithoutMajority, nameof(ReplicatedLogConformance.IsolatedLeader_CommitsAndConfirmsNothing_AndRefusesItsOldEpochLater))]
    [InlineData(MemoryBug.RefusedIsCommitted, nameof(ReplicatedLogConformance.Propose_WithoutAMajority_IsNotCommittedAndRefusedOnesNeverAppear))]
    [InlineData(MemoryBug.CommitsAlone, nameof(ReplicatedLogConformance.Propose_WithoutAMajority_IsNotCommittedAndRefusedOnesNeverAppear))]
    [InlineData(MemoryBug.LosesTheLast, nameof(ReplicatedLogConformance.ReadBarrier_AfterTheLeaderIsLost_SeesWhatItAcknowledged))]
    [InlineData(MemoryBug.AppendsTwice, nameof(ReplicatedLogConformance.Propose_ThousandsAcrossLeaderChangesAndRestarts_AreAppliedOnceAtMost))]
    [InlineData(MemoryBug.IgnoresExpectedEpoch, nameof(ReplicatedLogConformance.Propose_ExpectedEpochIsOver_IsRefusedAndLeavesNothing))]
    [InlineData(MemoryBug.CancellationThrows, nameof(ReplicatedLogConformance.Propose_CallerGivesUp_IsUnknownAndNoException))]
    [InlineData(MemoryBug.CancelledIsNotCommitted, nameof(ReplicatedLogConformance.Propose_CallerGivesUp_IsUnknownAndNoException))]
    [InlineData(MemoryBug.ForgetsAtRestart, nameof(ReplicatedLogConformance.Restart_OfAllNodes_KeepsEverythingAcknowledged))]
    [InlineData(MemoryBug.ForgetsAtRestart, nameof(ReplicatedLogConformance.Propose_RepeatedUnderItsRequestId_HasOneEffectAndTheFirstResult))]
    [InlineData(MemoryBug.KeepsTheBuffer, nameof(ReplicatedLogConformance.Propose_BufferReusedAfterwards_AppliesWhatWasProposed))]
    [InlineData(MemoryBug.SameEpoch, nameof(ReplicatedLogConformance.Transfer_ToEachNodeAskedOfAnyNode_MakesItLead))]
    [InlineData(MemoryBug.SameEpoch, nameof(ReplicatedLogConformance.StatusChanged_OverLeaderChanges_EpochsGrowAndEachHasOneLeader))]
    [InlineData(MemoryBug.AnswersBeforeApplying, nameof(ReplicatedLogConformance.Propose_OnEveryNode_IsAppliedThereWithTheMachinesResult))]
    [InlineData(MemoryBug.AppliesOutOfOrder, nameof(ReplicatedLogConformance.Propose_ConcurrentlyOnAllNodes_GivesOneOrder))]
    [InlineData(MemoryBug.ServesAfterStop, nameof(ReplicatedLogConformance.Stop_RequestsOutstanding_AllEnd))]
    [InlineData(MemoryBug.ReusesNumbers, nameof(ReplicatedLogConformance.Members_LearnerAddedPromotedAndOldOneRemoved_WhileClientsWrite))]
    public async Task Suite_BackendWithABug_Fails(MemoryBug bug, string test)
    {
        var method = typeof(ReplicatedLogConformance).GetMethod(test, BindingFlags.Public | BindingFlags.Instance)!;
        await Assert.ThrowsAnyAsync<Exception>(() => (Task)method.Invoke(new Suite(bug), [])!);
    }

    private sealed class Suite(MemoryBug bug) : ReplicatedLogConformance
    {
        protected override Task<ILogCluster> StartAsync(int size, TimeSpan? requestLimit = null) =>
            Task.FromResult<ILogCluster>(new MemoryCluster(size, requestLimit, bug));
    }
}
