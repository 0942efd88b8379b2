namespace RaftMirror.Consensus.Model;

/// <summary>A voter's number in one cluster: 1 and up, given once, never reused. Names live above the seam.</summary>
public readonly record struct NodeId(ushort Value) : IComparable<NodeId>
{
    /// <inheritdoc/>
    public int CompareTo(NodeId other) => Value.CompareTo(other.Value);

    /// <inheritdoc/>
    public override string ToString() => Value.ToString();
}
