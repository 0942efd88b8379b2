namespace RaftMirror.ControlPlane.Model;

/// <summary>What became of a committed command.</summary>
public enum CommandOutcome
{
    /// <summary>It took effect (or there was nothing left to do).</summary>
    Applied,

    /// <summary>Refused; nothing was applied.</summary>
    Rejected,
}

/// <summary>What the proposer of a command is told; the same bytes on every node, kept for repeats.</summary>
/// <param name="Outcome">Applied or rejected.</param>
/// <param name="Index">Log position of the first execution.</param>
/// <param name="Code">Stable code; "ok" if applied.</param>
/// <param name="Kind">Class of the refusal: its number is the exit code.</param>
/// <param name="IsRetryable">The same request may succeed soon by itself: repeat it under a <em>new</em> id.</param>
/// <param name="Message">For people; what was wrong, what to do, and that nothing was applied. Null if applied.</param>
/// <param name="Data">What the command made, if anything.</param>
public sealed record CommandResult(
    CommandOutcome Outcome,
    ulong Index,
    string Code,
    RejectionKind Kind,
    bool IsRetryable,
    string? Message,
    ResultData? Data);

/// <summary>What a command made. Fields are null where they mean nothing.</summary>
/// <param name="Id">Of the cluster, set or disk made.</param>
/// <param name="Number">Of the volume made.</param>
/// <param name="Epoch">Of the owner or transfer.</param>
/// <param name="Generation">Of the slot opened, or the label generation now asked for.</param>
/// <param name="Barrier">Id of the barrier begun.</param>
/// <param name="Regions">Regions merged.</param>
/// <param name="Status">New state of the node or submirror.</param>
public sealed record ResultData(
    Guid? Id = null,
    uint? Number = null,
    ulong? Epoch = null,
    ulong? Generation = null,
    ulong? Barrier = null,
    long? Regions = null,
    string? Status = null);
