namespace RaftMirror.DataPlane.Metadata;

/// <summary>The moment of its set that a label shows: which of the stamps that were ever opened it carries (design §14.19).</summary>
/// <param name="Number">Grows over the whole life of a set; 0 for a disk that was never stamped.</param>
/// <param name="Nonce">Tells two histories apart that gave the same number.</param>
/// <param name="Activation">The activation it belongs to.</param>
public readonly record struct LabelStamp(ulong Number, Guid Nonce, ulong Activation);

/// <summary>What the committed state says a disk's label may carry.</summary>
/// <param name="Completed">The newest stamp that is known to be on it.</param>
/// <param name="Newest">The newest one that may have been written to it: started, not known to be completed.</param>
public readonly record struct StampExpectation(LabelStamp Completed, LabelStamp Newest)
{
    /// <summary>It is being filled anew and was not stamped since: how old its label is, and that its end is blank, says nothing.</summary>
    public bool IsEverythingOwed { get; init; }

    /// <summary>The stamps opened last, whether or not they were completed; at least those between the two that are still remembered.</summary>
    public IReadOnlyList<LabelStamp> Opened { get; init; } = [];
}

/// <summary>How a label's stamp compares with the committed state.</summary>
public enum StampVerdict
{
    /// <summary>As the state says: the disk has everything that was acknowledged up to a beat ago.</summary>
    Current,

    /// <summary>An older copy of the disk: never a source.</summary>
    Older,

    /// <summary>The label knows more than this node's state, or follows another history: never a source.</summary>
    Newer,
}

/// <summary>Compares a label with the committed state. Pure.</summary>
public static class StampJudge
{
    /// <summary>The verdict on one label.</summary>
    /// <remarks>Between the completed and the newest stamp lie those that were started and not completed on this disk, by a beat that could
    /// not be written, or an activation that its node did not live to complete: all of them are younger than what is known. The state remembers
    /// the last of them; one that it has forgotten counts as older, which costs a full copy and believes nobody.</remarks>
    /// <param name="label">As read.</param>
    /// <param name="expected">From a state that contains all that was committed before the label was read, for the completed
    /// stamp, and after it was read, for the newest.</param>
    public static StampVerdict Judge(LabelStamp label, StampExpectation expected)
    {
        if (label.Number < expected.Completed.Number) return DiskMutants.OlderBelieved ? StampVerdict.Current : StampVerdict.Older;
        if (DiskMutants.ForkBelieved) return StampVerdict.Current;
        if (label.Number > expected.Newest.Number) return StampVerdict.Newer;
        if (label.Number == expected.Newest.Number) return label.Nonce == expected.Newest.Nonce ? StampVerdict.Current : StampVerdict.Newer;
        if (label.Number == expected.Completed.Number) return label.Nonce == expected.Completed.Nonce ? StampVerdict.Current : StampVerdict.Newer;
        foreach (var opened in expected.Opened ?? [])
        {
            if (opened.Number == label.Number) return opened.Nonce == label.Nonce ? StampVerdict.Current : StampVerdict.Newer;
        }

        // A disk that is to be written anew has no completed stamp, and is no source whatever its label says.
        return expected.Completed.Number == 0 ? StampVerdict.Current : StampVerdict.Older;
    }
}
