namespace RaftMirror.DataPlane.DiskIo.Core;

/// <summary>What a failed call says.</summary>
public enum FailureVerdict
{
    /// <summary>The disk, or the place on it, is bad: the submirror is lost.</summary>
    Medium,

    /// <summary>This node's way to it is bad: the node goes without the disk, and the disk stays.</summary>
    Path,

    /// <summary>A node that was asked has given no answer, or has got none from the disk yet: it is asked again.</summary>
    Wait,
}

/// <summary>Whom a failed call speaks against (design §14.20, ADR 0021): path is not media, so all live nodes are asked, this one included. Each
/// reads the label, writes a block that is its own, flushes, and reads the place of the failure. Pure.</summary>
public static class FailureJudge
{
    /// <summary>The verdict.</summary>
    /// <param name="isWrite">A write or a flush failed, not a read.</param>
    /// <param name="own">What this node finds.</param>
    /// <param name="others">What each other live node finds; <see cref="DiskAnswer.Unknown"/> if it gave no answer.</param>
    /// <param name="hasWaited">Others that have no answer from the disk, or give none, were waited for long enough: who is silent is suspected, and no
    /// longer asked, well before that.</param>
    /// <remarks>That others read the place says nothing of a write there, and nobody may write it in the writer's stead. So a failed write speaks
    /// against the way only if this node's other writes fail as well; else against the place.</remarks>
    public static FailureVerdict Judge(bool isWrite, DiskAnswer own, IReadOnlyCollection<DiskAnswer> others, bool hasWaited)
    {
        ArgumentNullException.ThrowIfNull(others);
        if (others.Contains(DiskAnswer.Fine) && !JudgeMutants.OwnErrorIsTheDisks)
            return isWrite && own == DiskAnswer.Fine && !JudgeMutants.ReadingClearsWrites ? FailureVerdict.Medium : FailureVerdict.Path;
        var isOpen = (others.Contains(DiskAnswer.Hangs) && !JudgeMutants.HangIsAWord)
            || (others.Contains(DiskAnswer.Unknown) && !JudgeMutants.SilenceIsAWord);
        return isOpen && (!hasWaited || JudgeMutants.WaitsForEver) ? FailureVerdict.Wait : FailureVerdict.Medium;
    }
}
