using RaftMirror.ControlPlane.Model;

namespace RaftMirror.ControlPlane.Commands;

/// <summary>What a command's request id alone decides, before anybody looks at the command (I-ONCE). Pure.</summary>
public static class RequestRules
{
    /// <summary>Code of the refusal of an id that belongs to another command.</summary>
    public const string Reused = "requestIdReused";

    /// <summary>Code of the refusal of an id from before the window of remembered results.</summary>
    public const string TooOld = "tooOld";

    /// <summary>Code of the refusal of an id from the future.</summary>
    public const string ClockAhead = "clockAhead";

    /// <summary>What is already decided about an id: the first result for the same command, a refusal for another one. An id stands for one
    /// command: were the first one's result given for another, its client would take it for done.</summary>
    /// <param name="requests">The results that are remembered.</param>
    /// <param name="id">Request id.</param>
    /// <param name="digest">Of the command (<see cref="RequestDigest"/>); null for the cluster's own.</param>
    /// <param name="index">Log position of the command, or the next one.</param>
    /// <returns>Null if the id is not remembered.</returns>
    public static CommandResult? Answer(RequestTable requests, Guid id, string? digest, ulong index)
    {
        if (requests.Find(id) is not { } first) return null;
        return first.Digest == digest ? first.Result : Refuse(id, first, index);
    }

    /// <summary>Refuses a client's id whose time says that its result may have been forgotten, or that a wrong clock made it. The cluster's own
    /// commands are never refused so.</summary>
    /// <param name="requests">The results that are remembered.</param>
    /// <param name="envelope">The command.</param>
    /// <param name="index">Its log position, or the next one.</param>
    /// <param name="atMs">Its log time.</param>
    /// <returns>Null if the id's time is right.</returns>
    public static CommandResult? RefuseForTime(RequestTable requests, CommandEnvelope envelope, ulong index, long atMs)
    {
        var id = envelope.Id;
        if (envelope.Digest is null) return null;
        if (!RequestId.IsVersion7(id))
            return Refuse(index, "badRequestId", RejectionKind.Usage, $"Request id {id} is not a UUIDv7; make one. Nothing was applied.");
        var (time, floor) = (RequestId.TimeMs(id), requests.FloorMs(atMs));
        if (time < floor)
        {
            return Refuse(
                index, TooOld, RejectionKind.Precondition,
                $"Request id {id} was made {(atMs - time) / 1000} s ago by the cluster's clock, {(floor - time + 999) / 1000} s before the oldest results that are "
                + "remembered, so whether it was executed is unknown. Look at the state; if it was not, ask again under a new id, or under none: the command "
                + "line then takes the cluster's time. Nothing was applied now.");
        }

        return time <= requests.CeilingMs(atMs) ? null : Refuse(
            index, ClockAhead, RejectionKind.Precondition,
            $"Request id {id} was made {(time - atMs) / 1000} s ahead of the cluster's clock. Correct the clock that made it, or ask "
            + "without an id: the command line then takes the cluster's time. Nothing was applied.");
    }

    private static CommandResult Refuse(ulong index, string code, RejectionKind kind, string message) =>
        new(CommandOutcome.Rejected, index, code, kind, false, message, null);

    private static CommandResult Refuse(Guid id, RequestRecord first, ulong index)
    {
        var what = first.Digest is { } digest ? $"'{RequestDigest.TypeOf(digest)}'" : "one of the cluster's own";
        var became = first.Result.Outcome == CommandOutcome.Applied ? "applied" : $"refused as {first.Result.Code}";
        return new CommandResult(
            CommandOutcome.Rejected, index, Reused, RejectionKind.Precondition, false,
            $"Request id {id} belongs to another command: {what} at index {first.Result.Index}, which was {became}. "
            + "An id stands for one command: repeat exactly that one, or give this one another id or none. Nothing was applied now.",
            null);
    }
}
