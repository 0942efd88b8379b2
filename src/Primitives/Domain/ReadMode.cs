namespace RaftMirror.Primitives.Domain;

/// <summary>Which submirror answers a read.</summary>
public enum ReadMode
{
    /// <summary>The next one.</summary>
    RoundRobin,

    /// <summary>Chosen by address.</summary>
    Geometric,

    /// <summary>The first readable one.</summary>
    First,
}
