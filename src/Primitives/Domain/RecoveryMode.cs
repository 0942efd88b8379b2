namespace RaftMirror.Primitives.Domain;

/// <summary>What repairs a mirror after a crash.</summary>
public enum RecoveryMode
{
    /// <summary>The dirty-region log.</summary>
    Log,

    /// <summary>The application (ABR).</summary>
    App,
}
