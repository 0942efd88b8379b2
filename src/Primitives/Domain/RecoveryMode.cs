namespace RaftMirror.Primitives.Domain;

/// <summary>What makes a mirror's legs equal again after a writer crashed.</summary>
public enum RecoveryMode
{
    /// <summary>The dirty-region log: optimized resync.</summary>
    Log,

    /// <summary>The application (ABR): no dirty log, no resync after a crash.</summary>
    App,
}
