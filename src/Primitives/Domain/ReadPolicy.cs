namespace RaftMirror.Primitives.Domain;

/// <summary>Which leg answers a read.</summary>
public enum ReadPolicy
{
    /// <summary>Each read takes the next readable leg.</summary>
    RoundRobin,

    /// <summary>Chosen by address: neighbouring blocks come from the same leg.</summary>
    Geometric,

    /// <summary>The first readable leg.</summary>
    First,
}
