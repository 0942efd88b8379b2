namespace RaftMirror.Cli.CommandLine;

/// <summary>What scripts may rely on. Two causes of failure never share a number.</summary>
internal enum ExitCode
{
    /// <summary>Done, or the asked condition holds.</summary>
    Ok = 0,

    /// <summary>The asked condition does not hold; a step of the demo failed.</summary>
    ConditionFalse = 1,

    /// <summary>The command line is wrong; nothing was asked of any node.</summary>
    Usage = 2,

    /// <summary>No such object.</summary>
    NotFound = 3,

    /// <summary>Refused: the state does not allow it.</summary>
    Refused = 4,

    /// <summary>Refused: not allowed.</summary>
    NotAllowed = 5,

    /// <summary>No node reachable, no leader or no quorum; nothing was applied.</summary>
    Unavailable = 6,

    /// <summary>The outcome is unknown; repeat with the printed request id.</summary>
    OutcomeUnknown = 7,

    /// <summary>A wait ran out of time.</summary>
    WaitTimedOut = 8,

    /// <summary>A bug.</summary>
    InternalError = 10,

    /// <summary>The output cannot be written: stdout is full, closed or broken. Standing apart from every answer, since none was seen.</summary>
    OutputFailed = 11,

    /// <summary>A node was told to stop and has ended, with something left that the others must merge: a disk did not answer in time.</summary>
    StoppedUnclean = 12,

    /// <summary>SIGINT.</summary>
    Interrupted = 130,

    /// <summary>SIGTERM.</summary>
    Terminated = 143,
}
