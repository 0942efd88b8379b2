namespace RaftMirror.Cli.Demo;

/// <summary>The stories.</summary>
internal enum DemoScript
{
    /// <summary>Write, move, kill, resync, rejoin.</summary>
    Failover,

    /// <summary>Two nodes write one ABR mirror at once.</summary>
    Abr,

    /// <summary>Kill during writes and watch the resync.</summary>
    Resync,
}

/// <param name="Script">Story.</param>
/// <param name="Nodes">3 to 7.</param>
/// <param name="Directory">Absolute path of an empty or missing folder; null for a temporary one.</param>
/// <param name="IsOnce">Stop after the last step.</param>
/// <param name="IsKept">Leave the folder behind.</param>
internal sealed record DemoOptions(DemoScript Script, int Nodes, string? Directory, bool IsOnce, bool IsKept);
