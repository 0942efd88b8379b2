using RaftMirror.Contracts;
using RaftMirror.ControlPlane.Commands;
using RaftMirror.Node.Peers;
using RaftMirror.Node.State;

namespace RaftMirror.Node.Sets;

/// <summary>This node's part in <c>set leave</c>: drains, makes the closing beats, has the leave committed; stays if that does not come to an end
/// in the time that the client gave. Any thread.</summary>
internal sealed class SetLeaving(
    NodeIdentity self,
    SetAgents agents,
    Func<IEnumerable<string>, CancellationToken, Task<System.Collections.Immutable.ImmutableArray<string>>> close,
    Func<string, TimeSpan, CancellationToken, Task<string?>> lateWriteTo,
    Func<LeaveSet, TimeSpan, ClientRequest?, CancellationToken, ValueTask<ApiResult>> submit,
    Action<string> left)
{
    private readonly SharedRuns<Guid, ApiResult> _runs = new();
    private readonly Turns<string> _turns = new();

    /// <summary>A request to leave. A repeat of one that is under way waits for the same outcome.</summary>
    public async ValueTask<ApiResult> LeaveAsync(LeaveSetRequest request, CancellationToken cancellationToken) =>
        await _runs.RunAsync(request.Client.Id, TimeSpan.FromMilliseconds(request.TimeoutMs), token => OnceAsync(request, token), cancellationToken);

    /// <summary>How long to drain: what follows, and the answer's way, want some of the client's time too.</summary>
    public static TimeSpan DrainLimit(int timeoutMs) => TimeSpan.FromMilliseconds(Math.Max(timeoutMs / 2, timeoutMs - 5000));

    private async Task<ApiResult> OnceAsync(LeaveSetRequest request, CancellationToken cancellationToken)
    {
        try
        {
            using var turn = await _turns.TakeAsync(request.Set, cancellationToken);
            return await InTurnAsync(request, cancellationToken) with { RequestId = request.Client.Id };
        }
        catch (OperationCanceledException)
        {
            return new ApiResult
            {
                Outcome = ApiOutcome.Unknown,
                Code = ProblemCodes.OutcomeUnknown,
                Message = $"The time ran out before the leave of node '{self.Name}' from '{request.Set}' was known to be committed.",
                RequestId = request.Client.Id,
            };
        }
    }

    private async Task<ApiResult> InTurnAsync(LeaveSetRequest request, CancellationToken cancellationToken)
    {
        var isLeft = false;
        try
        {
            var drainLimit = DrainLimit(request.TimeoutMs);
            var drainedBy = Environment.TickCount64 + (long)drainLimit.TotalMilliseconds;
            if (await agents.DrainAsync(request.Set, drainLimit) is not true and var drained)
                return NotDrained(request.Set, drained is null ? drainLimit : null, agents.Find(request.Set)?.DataPlane.EndWaitsFor());
            var result = await CommitAsync(request, request.Client, drainedBy, cancellationToken);
            // The others left meanwhile, so that it is the last one now. The first answer stands under its id.
            if (result.Code == "closingBeatOwed") result = await CommitAsync(request, null, drainedBy, cancellationToken);
            isLeft = result.Outcome is ApiOutcome.Applied;
            if (isLeft) left(request.Set);
            return result;
        }
        finally
        {
            if (!isLeft) agents.StayIn(request.Set); // If it is committed after all, that ends the set here.
        }
    }

    private async Task<ApiResult> CommitAsync(LeaveSetRequest request, ClientRequest? forClient, long drainedBy, CancellationToken cancellationToken)
    {
        var closed = await close([request.Set], cancellationToken);
        // Labels are not the data plane's: a write of one that hangs, of an earlier beat or of the closing one, may still land.
        var rest = TimeSpan.FromMilliseconds(Math.Max(0, drainedBy - Environment.TickCount64));
        if (await lateWriteTo(request.Set, rest, cancellationToken) is { } disk)
            return NotDrained(request.Set, DrainLimit(request.TimeoutMs), $"a write of a label to disk '{disk}' has not come back");
        return await submit(
            new LeaveSet(request.Set, self.Name, self.Incarnation, IsClosed: closed.Contains(request.Set)),
            TimeSpan.FromMilliseconds(request.TimeoutMs),
            forClient,
            cancellationToken);
    }

    /// <param name="set">Name.</param>
    /// <param name="limit">Within which it has not ended; null if it has ended and something is left.</param>
    /// <param name="waitsFor">What it waits for; null if that is not known.</param>
    private ApiResult NotDrained(string set, TimeSpan? limit, string? waitsFor)
    {
        var reason = waitsFor is null ? "" : $" ({waitsFor})";
        return new ApiResult
        {
            Outcome = ApiOutcome.Rejected,
            Rejection = RejectionKind.Precondition,
            Code = "notDrained",
            Message = limit is { } within
                ? FormattableString.Invariant($"Node '{self.Name}' could not end its I/O in '{set}' within {within.TotalSeconds:0.#} s{reason}, so it stays. It dropped its clients, and serves the set again as soon as that has ended. Nothing was applied.")
                : $"Node '{self.Name}' could not flush and clean everything in '{set}'{reason}, so it stays. It dropped its clients, which may connect again. Nothing was applied.",
            Help = "Mend the disk that status names (raftmirror status), then repeat the command.",
        };
    }
}
