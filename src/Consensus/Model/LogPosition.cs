namespace RaftMirror.Consensus.Model;

/// <summary>A place in the replicated log: opaque, monotonic, comparable. Raft's log index here.</summary>
public readonly record struct LogPosition(ulong Value) : IComparable<LogPosition>
{
    /// <inheritdoc/>
    public int CompareTo(LogPosition other) => Value.CompareTo(other.Value);

    /// <inheritdoc/>
    public override string ToString() => Value.ToString();
}
