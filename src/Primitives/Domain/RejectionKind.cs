namespace RaftMirror.Primitives.Domain;

/// <summary>Class of a refusal: the command line's exit codes.</summary>
public enum RejectionKind
{
    /// <summary>Not refused.</summary>
    None = 0,

    /// <summary>The request is malformed, whatever the state.</summary>
    Usage = 2,

    /// <summary>A named object does not exist.</summary>
    NotFound = 3,

    /// <summary>The state does not allow it now.</summary>
    Precondition = 4,

    /// <summary>It is never allowed.</summary>
    NotAllowed = 5,
}
