using RaftMirror.ControlPlane.Model;

namespace RaftMirror.ControlPlane.Commands;

/// <summary>What a command's request id alone decides, before anybody looks at the command (I-ONCE). Pure.</summary>
public static class RequestRules
{
    /// <summary>Code of the refusal of an id that belongs to another command.</summary>
    public const string Reused = "requestIdReused";

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
