namespace RaftMirror.Consensus.Model;

/// <summary>The state of a vote.</summary>
internal enum VoteResult
{
    Pending,
    Won,
    Lost,
}

/// <summary>Majority arithmetic, pure. An empty voter set decides nothing and so never stands in the way: it is the
/// outgoing set of a configuration that is not joint.</summary>
internal static class Quorum
{
    /// <summary>The largest value that a majority of each voter set has reached.</summary>
    /// <param name="configuration">Who counts.</param>
    /// <param name="bySlot">Each member's value, by slot; a silent member's is 0, and it counts as a voter all the same.</param>
    public static ulong Reached(Configuration configuration, ReadOnlySpan<ulong> bySlot)
    {
        if (Mutants.JointUnion) return Reached([.. Enumerable.Range(0, bySlot.Length)], bySlot);
        return Math.Min(Reached(configuration.VoterSlots, bySlot), Reached(configuration.OutgoingSlots, bySlot));
    }

    /// <summary>The result of a vote: won with a majority of each set, lost once one set can no longer reach it.</summary>
    /// <param name="configuration">Who counts.</param>
    /// <param name="bySlot">1 granted, -1 refused, 0 not answered.</param>
    public static VoteResult Vote(Configuration configuration, ReadOnlySpan<sbyte> bySlot)
    {
        var incoming = Vote(configuration.VoterSlots, bySlot);
        var outgoing = Vote(configuration.OutgoingSlots, bySlot);
        if (incoming == VoteResult.Lost || outgoing == VoteResult.Lost) return VoteResult.Lost;
        return incoming == VoteResult.Won && outgoing == VoteResult.Won ? VoteResult.Won : VoteResult.Pending;
    }

    private static ulong Reached(int[] slots, ReadOnlySpan<ulong> bySlot)
    {
        if (slots.Length == 0) return ulong.MaxValue;
        Span<ulong> values = slots.Length <= 64 ? stackalloc ulong[slots.Length] : new ulong[slots.Length];
        var count = 0;
        foreach (var slot in slots)
        {
            if (Mutants.QuorumOfResponders && bySlot[slot] == 0) continue;
            values[count++] = bySlot[slot];
        }

        if (count == 0) return 0;
        values = values[..count];
        values.Sort();
        return values[(count - 1) / 2]; // Ascending: this many and one more are at least as large as it.
    }

    private static VoteResult Vote(int[] slots, ReadOnlySpan<sbyte> bySlot)
    {
        if (slots.Length == 0) return VoteResult.Won;
        var granted = 0;
        var refused = 0;
        foreach (var slot in slots)
        {
            if (bySlot[slot] > 0) granted++;
            if (bySlot[slot] < 0) refused++;
        }

        var majority = (slots.Length / 2) + 1;
        if (granted >= majority) return VoteResult.Won;
        return slots.Length - refused < majority ? VoteResult.Lost : VoteResult.Pending;
    }
}
