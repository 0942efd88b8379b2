namespace RaftMirror.Consensus.Model;

/// <summary>Identifies an entry: by log matching (Raft paper 5.3) equal ids mean equal entries and equal prefixes.</summary>
/// <param name="Term">The term of the leader that made it.</param>
/// <param name="Index">Its place, 1 and up; (0, 0) stands before the first entry.</param>
internal readonly record struct EntryId(ulong Term, ulong Index) : IComparable<EntryId>
{
    /// <summary>The election restriction's order (Raft paper 5.4.1): term first, then index.</summary>
    public int CompareTo(EntryId other) =>
        Mutants.IndexBeforeTerm
            ? Index.CompareTo(other.Index)
            : Term != other.Term ? Term.CompareTo(other.Term) : Index.CompareTo(other.Index);
}
