namespace RaftMirror.Primitives.Domain;

/// <summary>How the submirrors are written.</summary>
public enum WriteMode
{
    /// <summary>All at once.</summary>
    Parallel,

    /// <summary>One after the other.</summary>
    Serial,
}
