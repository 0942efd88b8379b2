namespace RaftMirror.Consensus.Tests.Conformance;

/// <summary>What is wrong with a <see cref="MemoryCluster"/>: mistakes that backends of the seam have made.</summary>
public enum MemoryBug
{
    None,

    /// <summary>A barrier returns what the node has applied, whatever others committed.</summary>
    StaleBarrier,

    /// <summary>A barrier asks nobody whether the node still belongs to the majority.</summary>
    BarrierWithoutMajority,

    /// <summary>A proposal that found no majority is called not committed and is appended later all the same.</summary>
    RefusedIsCommitted,

    /// <summary>A node alone calls its proposals committed.</summary>
    CommitsAlone,

    /// <summary>What a killed leader acknowledged last is forgotten.</summary>
    LosesTheLast,

    /// <summary>Whoever becomes leader appends its predecessor's last command again.</summary>
    AppendsTwice,

    /// <summary>The expected epoch is not looked at.</summary>
    IgnoresExpectedEpoch,

    /// <summary>Giving up is told as an exception.</summary>
    CancellationThrows,

    /// <summary>Giving up is told as "not committed", and the command is appended later.</summary>
    CancelledIsNotCommitted,

    /// <summary>A restarted node begins anew, and nobody tells it what was before.</summary>
    ForgetsAtRestart,

    /// <summary>The caller's buffer is kept instead of its bytes.</summary>
    KeepsTheBuffer,

    /// <summary>Leaders follow each other in one epoch.</summary>
    SameEpoch,

    /// <summary>Committed is said before the own state machine has it.</summary>
    AnswersBeforeApplying,

    /// <summary>Commands that are applied together are applied in another order.</summary>
    AppliesOutOfOrder,

    /// <summary>A node that stopped still takes proposals and says that they are committed.</summary>
    ServesAfterStop,

    /// <summary>A number that a removed node had is given again.</summary>
    ReusesNumbers,
}
