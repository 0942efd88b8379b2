using System.Diagnostics;
using System.Text;
using RaftMirror.Consensus;
using RaftMirror.Consensus.Model;
using RaftMirror.Contracts;
using RaftMirror.ControlPlane.Commands;
using RaftMirror.ControlPlane.Leases;
using RaftMirror.ControlPlane.Model;
using RaftMirror.ControlPlane.Snapshots;
using RaftMirror.Node.Clocks;
using RaftMirror.Node.Peers;
using RaftMirror.Node.State;
using RaftMirror.Node.Telemetry;

namespace RaftMirror.Node.Commands;

/// <summary>The way of every command, whoever makes it: to the leader, decided on its state, checked with the nodes concerned,
/// committed with that evidence, applied everywhere. Any thread.</summary>
/// <remarks>The request id makes repeats harmless, so a lost answer is repeated until the caller's time is up; only then is the
/// outcome unknown.</remarks>
internal sealed class CommandService(
    NodeIdentity self,
    IReplicatedLog log,
    StateFeed feed,
    PeerClient peers,
    NodeDirectory directory,
    DiskAdmission disks,
    ServiceBar standing,
    Func<ClockService> clocks,
    Func<string?>? logShortage = null)
{
    private static readonly TimeSpan OneTry = TimeSpan.FromSeconds(10);
    private static readonly TimeSpan Pause = TimeSpan.FromMilliseconds(50);
    private readonly SharedRuns<(Guid Id, string Digest, bool IsDryRun), ApiResult> _runs = new();

    /// <summary>Sets the leader's handlers.</summary>
    public void Register()
    {
        peers.Handle(PeerMethods.Submit, DaemonJson.Default.CommandRequest, DaemonJson.Default.ApiResult,
            (_, request, cancellationToken) => ExecuteAsync(request, cancellationToken));
        peers.Handle(PeerMethods.SubmitInternal, DaemonJson.Default.InternalCommand, DaemonJson.Default.ApiResult,
            (from, command, cancellationToken) => ExecuteInternalAsync(from, command, cancellationToken));
    }

    /// <summary>A user's command, from this node to the leader and back.</summary>
    public ValueTask<ApiResult> SubmitAsync(CommandRequest request, CancellationToken cancellationToken) => ForwardAsync(
        request.RequestId,
        TimeSpan.FromMilliseconds(request.TimeoutMs),
        token => ExecuteAsync(request, token),
        (leader, token) => peers.CallAsync(
            leader, PeerMethods.Submit, request, DaemonJson.Default.CommandRequest, DaemonJson.Default.ApiResult, OneTry, token),
        cancellationToken);

    /// <summary>A command that this node's daemon makes itself, or for a client whose request only this node can carry out.</summary>
    /// <returns>The outcome; a rejection is a result like any other (somebody else was faster, the state moved on).</returns>
    public ValueTask<ApiResult> SubmitOwnAsync(
        CommandBody body, string? traceParent, TimeSpan timeout, CancellationToken cancellationToken, ClientRequest? forClient = null)
    {
        var envelope = new CommandEnvelope(
            forClient?.Id ?? Guid.CreateVersion7(), 0, $"node:{self.Name}", traceParent, body, forClient?.Digest);
        var command = new InternalCommand(envelope.Id, Encoding.UTF8.GetString(CommandCodec.Encode(envelope)));
        return ForwardAsync(
            command.Id,
            timeout,
            token => ExecuteInternalAsync(self.Name, command, token),
            (leader, token) => peers.CallAsync(
                leader, PeerMethods.SubmitInternal, command, DaemonJson.Default.InternalCommand, DaemonJson.Default.ApiResult, OneTry, token),
            cancellationToken);
    }

    /// <summary>A proposal that counts only if this node still leads in the term in which it was decided.</summary>
    /// <returns>Null if it was not committed.</returns>
    public async Task<CommandResult?> ProposeAsLeaderAsync(LeaseProposal proposal, CancellationToken cancellationToken)
    {
        var envelope = new CommandEnvelope(Guid.CreateVersion7(), clocks().StampMs, $"node:{self.Name}", null, proposal.Body);
        var commit = await log.ProposeAsync(CommandCodec.Encode(envelope), proposal.Term, cancellationToken);
        return commit.Outcome == ProposalOutcome.Committed ? CommandCodec.DecodeResult(commit.Result.Span) : null;
    }

    private async ValueTask<ApiResult> ForwardAsync(
        Guid id,
        TimeSpan timeout,
        Func<CancellationToken, ValueTask<ApiResult>> here,
        Func<string, CancellationToken, ValueTask<ApiResult>> there,
        CancellationToken cancellationToken)
    {
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        limit.CancelAfter(timeout);
        if (standing.Barred is { } bar)
        {
            // What becomes of a command is seen by applying it, which this node does no more.
            return new ApiResult
            {
                Outcome = ApiOutcome.NotApplied,
                Code = bar.Code,
                Message = $"Node '{self.Name}' is {bar.Word}: {bar.Reason}. Nothing was applied.",
                Help = "Ask another node.",
                RequestId = id,
            };
        }

        var mayBeApplied = false;
        var reason = "no leader is known: a majority of the nodes is needed";
        while (!limit.IsCancellationRequested)
        {
            var status = log.Status;
            var leader = status.Leader is { } leaderId ? directory.NameOf(leaderId) : null;
            if (leader is not null)
            {
                try
                {
                    var result = await (leader == self.Name ? here(limit.Token) : there(leader, limit.Token));
                    if (result.Outcome is ApiOutcome.Unknown) mayBeApplied = true;
                    else if (result.Outcome is not ApiOutcome.NotApplied)
                    {
                        if (result.Outcome == ApiOutcome.Applied) await log.WaitAppliedAsync(new LogPosition(result.Index), limit.Token);
                        return result;
                    }

                    reason = result.Message;
                }
                catch (PeerUnreachableException lost)
                {
                    mayBeApplied = true;
                    reason = lost.Message;
                }
                catch (OperationCanceledException)
                {
                    mayBeApplied = true;
                    reason = "the time ran out while the leader worked on it";
                }
            }

            await PauseAsync(status, limit.Token);
        }

        return new ApiResult
        {
            Outcome = mayBeApplied ? ApiOutcome.Unknown : ApiOutcome.NotApplied,
            Code = mayBeApplied ? "outcomeUnknown" : "noLeader",
            Message = $"Gave up after {timeout.TotalSeconds:0.#} s: {reason}.",
            RequestId = id,
        };
    }

    /// <summary>Until leadership changes, but not for long: the leader may just have been busy.</summary>
    private async Task PauseAsync(LogStatus seen, CancellationToken cancellationToken)
    {
        var changed = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        void OnChange(LogStatus status) => changed.TrySetResult();
        log.StatusChanged += OnChange;
        try
        {
            if (log.Status.Leader == seen.Leader && log.Status.Epoch == seen.Epoch) await changed.Task.WaitAsync(Pause, cancellationToken);
        }
        catch (Exception over) when (over is TimeoutException or OperationCanceledException)
        {
            // The caller looks at its own time.
        }
        finally
        {
            log.StatusChanged -= OnChange;
        }
    }

    private async ValueTask<ApiResult> ExecuteInternalAsync(string from, InternalCommand command, CancellationToken cancellationToken)
    {
        var envelope = CommandCodec.Decode(Encoding.UTF8.GetBytes(command.Envelope)) with { AtMs = clocks().StampMs, By = $"node:{from}" };
        if (envelope.Body is SuspectNode or ClearSuspicion or FenceNode)
            throw new InvalidDataException($"Node '{from}' sent what only a leader may propose.");
        if (Answered(envelope.Id, envelope.Digest) is { } answer) return answer;
        var epoch = log.Status.Epoch;
        if (!log.Status.IsLeader) return NotLeader(envelope.Id);
        if (!clocks().IsReady) return NoTimeYet(envelope.Id);
        if (Decide(envelope) is not null)
        {
            // Applying would decide for good; a refusal before that must rest on a state that is no older than the request.
            if (!await log.CatchUpAsync(cancellationToken)) return NotLeader(envelope.Id);
            if (Answered(envelope.Id, envelope.Digest) is { } late) return late;
            if (Decide(envelope) is { } refusal) return refusal;
        }

        if (envelope.Body is StampLabels beat && IsRoutine(beat) && NoRoom(envelope.Id) is { } full) return full;
        return await CommitAsync(envelope, epoch, cancellationToken);
    }

    private async ValueTask<ApiResult> ExecuteAsync(CommandRequest request, CancellationToken cancellationToken)
    {
        var digest = RequestDigest.Of(request.Type, request.Body);
        // Whoever forwards it repeats it when the answer is late: two tries would undo each other's work on a disk.
        return await _runs.RunAsync(
            (request.RequestId, digest, request.DryRun), TimeSpan.FromMilliseconds(request.TimeoutMs), token => ExecuteOnceAsync(request, digest, token), cancellationToken);
    }

    private async Task<ApiResult> ExecuteOnceAsync(CommandRequest request, string digest, CancellationToken cancellationToken)
    {
        // All that follows rests on what was committed when the request came: an earlier try at a former leader may have been, and a leader
        // that has been followed by another without knowing it has nothing to refuse, and no business with disks.
        if (!await log.CatchUpAsync(cancellationToken)) return NotLeader(request.RequestId);
        var status = log.Status;
        if (Answered(request.RequestId, digest) is { } answer) return answer;
        if (!status.IsLeader) return NotLeader(request.RequestId);
        if (NoRoom(request.RequestId) is { } full && !request.DryRun) return full;
        if (!clocks().IsReady) return NoTimeYet(request.RequestId);
        using var span = Tracing.StartChild(
            request.Type == CommandTypes.MoveOwner ? "move owner" : $"execute {request.Type}", request.TraceParent, ActivityKind.Server);
        var translation = CommandTranslator.Translate(feed.Current, request);
        if (translation.Refusal is { } malformed) return malformed;

        var envelope = new CommandEnvelope(
            request.RequestId, clocks().StampMs, request.By, Tracing.TraceParentOf(span) ?? request.TraceParent, translation.Body!, digest);
        IReadOnlyList<NodeAnswer> answers = [];
        if (envelope.Body is AddDisk add)
        {
            if (Decide(envelope with { Body = DiskAdmission.Presumed(feed.Current, add) }) is { } early) return early;
            var admission = await disks.AdmitAsync(feed.Current, add, status.Epoch, request.DryRun, cancellationToken);
            answers = admission.Answers;
            if (admission.Refusal is { } refused)
            {
                // Nodes refuse a leader that was followed by another, where the request may be under way, or done.
                if (!await log.CatchUpAsync(cancellationToken) || log.Status.Epoch != status.Epoch) return NotLeader(request.RequestId);
                return Answered(request.RequestId, digest) ?? refused with { RequestId = request.RequestId };
            }

            envelope = envelope with { Body = admission.Body! };
        }
        else if (envelope.Body is SetDiskPath move)
        {
            var relocation = await new DiskRelocation(peers).AdmitAsync(feed.Current, move, cancellationToken);
            answers = relocation.Answers;
            if (relocation.Refusal is { } refused) return refused with { RequestId = request.RequestId };
            envelope = envelope with { Body = relocation.Body };
        }
        else if (envelope.Body is LeaveSet leave && !request.DryRun)
        {
            // Only the node itself can say that its I/O has ended: it drains and proposes.
            return Decide(envelope) ?? await AskLeaveAsync(leave, request, digest, cancellationToken);
        }
        else if (envelope.Body is DeleteMirror delete)
        {
            if (Decide(envelope) is { } early) return early;
            answers = await AskDeleteAsync(delete, cancellationToken);
            if (answers.Any(answer => !answer.Ok))
            {
                return new ApiResult
                {
                    Outcome = ApiOutcome.Rejected,
                    Rejection = RejectionKind.Precondition,
                    Code = "inUse",
                    Message = $"Mirror {delete.Set}/{delete.Volume} is in use. Nothing was applied.",
                    Help = "Disconnect its NBD clients (the status of the volume counts them), then repeat.",
                    Details = answers,
                    RequestId = request.RequestId,
                };
            }
        }

        var rejected = Decide(envelope);
        if (rejected is not null || request.DryRun)
        {
            if (envelope.Body is AddDisk notAdded && !request.DryRun) await disks.UndoAsync(feed.Current, notAdded, status.Epoch, cancellationToken);
            return rejected ?? new ApiResult
            {
                Outcome = ApiOutcome.Checked,
                Message = "Nothing stands against it; nothing was applied.",
                Details = answers,
                RequestId = request.RequestId,
            };
        }

        var result = await CommitAsync(envelope, status.Epoch, cancellationToken);
        if (envelope.Body is AddDisk added && result.Outcome is ApiOutcome.Rejected or ApiOutcome.NotApplied)
            await disks.UndoAsync(feed.Current, added, status.Epoch, cancellationToken);
        return result with { Details = answers };
    }

    /// <summary>A beat that nothing waits for: labels would only be younger by it. An entry every ten seconds for each set would use up what is left of a
    /// full log within hours.</summary>
    private bool IsRoutine(StampLabels beat) => feed.Current.Set(beat.Set) is { } set && !Stamps.IsDue(set, 0);

    /// <summary>What is left of the log is for the cluster's own commands, which keep what runs running (design §14.22).</summary>
    private ApiResult? NoRoom(Guid id) => logShortage?.Invoke() is not { } reason ? null : new ApiResult
    {
        Outcome = ApiOutcome.Rejected,
        Rejection = RejectionKind.Precondition,
        Code = ProblemCodes.LogFull,
        Message = $"No command is taken: {reason}. What runs goes on. Nothing was applied.",
        Help = "Free space there, then repeat the command; no restart is needed. If another voter has space: raftmirror raft transfer --to NODE.",
        RequestId = id,
    };

    private async ValueTask<ApiResult> AskLeaveAsync(
        LeaveSet leave, CommandRequest request, string digest, CancellationToken cancellationToken)
    {
        try
        {
            return await peers.CallAsync(
                leave.Node,
                PeerMethods.LeaveSet,
                new LeaveSetRequest(leave.Set, new ClientRequest(request.RequestId, digest), request.TimeoutMs),
                DaemonJson.Default.LeaveSetRequest,
                DaemonJson.Default.ApiResult,
                TimeSpan.FromMilliseconds(request.TimeoutMs),
                cancellationToken);
        }
        catch (PeerUnreachableException lost)
        {
            return new ApiResult
            {
                Outcome = ApiOutcome.Unknown,
                Code = ProblemCodes.OutcomeUnknown,
                Message = lost.Message,
                Help = "A node that is down needs not leave: it is fenced by itself.",
                RequestId = request.RequestId,
            };
        }
    }

    private async Task<IReadOnlyList<NodeAnswer>> AskDeleteAsync(DeleteMirror delete, CancellationToken cancellationToken)
    {
        var state = feed.Current;
        if (state.Set(delete.Set) is not { } set) return [];
        return await Task.WhenAll(set.Members.Values
            .Where(member => state.Node(member.Node) is { } node && Duties.IsJoined(node, member))
            .Select(async member =>
            {
                try
                {
                    var reply = await peers.CallAsync(
                        member.Node,
                        PeerMethods.CheckDelete,
                        new DeleteCheckRequest(delete.Set, delete.Volume),
                        DaemonJson.Default.DeleteCheckRequest,
                        DaemonJson.Default.DeleteCheckReply,
                        OneTry,
                        cancellationToken);
                    return new NodeAnswer(member.Node, reply.IsOk, reply.Message);
                }
                catch (PeerUnreachableException lost)
                {
                    return new NodeAnswer(member.Node, false, lost.Message);
                }
            }));
    }

    private async ValueTask<ApiResult> CommitAsync(CommandEnvelope envelope, ulong epoch, CancellationToken cancellationToken)
    {
        using var span = Tracing.StartChild("propose command", envelope.Traceparent);
        span?.SetTag("command.type", envelope.Body.GetType().Name);
        var commit = await log.ProposeAsync(CommandCodec.Encode(envelope), epoch, cancellationToken);
        span?.SetTag("raft.log.index", commit.Position.Value);
        switch (commit.Outcome)
        {
            case ProposalOutcome.Committed:
                return ApiResults.From(CommandCodec.DecodeResult(commit.Result.Span), envelope.Id, span?.TraceId.ToHexString());
            case ProposalOutcome.NotCommitted:
                Tracing.Fail(span, "notCommitted", commit.Reason ?? "");
                return new ApiResult
                {
                    Outcome = ApiOutcome.NotApplied,
                    Code = "notCommitted",
                    Message = commit.Reason ?? "The leader changed",
                    RequestId = envelope.Id,
                };
            default:
                Tracing.Fail(span, "unknown", commit.Reason ?? "");
                return new ApiResult
                {
                    Outcome = ApiOutcome.Unknown,
                    Code = "outcomeUnknown",
                    Message = commit.Reason ?? "The leader lost contact before the command was known to be committed",
                    RequestId = envelope.Id,
                };
        }
    }

    /// <summary>The first result of a request that was committed before, a refusal if its id was another command's, or null.</summary>
    private ApiResult? Answered(Guid id, string? digest) =>
        RequestRules.Answer(feed.Current.Requests, id, digest, 0) is { } first ? ApiResults.From(first, id, null) : null;

    /// <summary>What the state refuses now, or null. Apply decides again, on the state it then finds.</summary>
    private ApiResult? Decide(CommandEnvelope envelope) =>
        Decider.Decide(feed.Current, envelope, log.Status.Last.Value + 1).Result is { Outcome: CommandOutcome.Rejected } rejection
            ? ApiResults.From(rejection, envelope.Id, null)
            : null;

    /// <summary>For moments at the start of a term: whoever asks asks again.</summary>
    private ApiResult NoTimeYet(Guid id) => new()
    {
        Outcome = ApiOutcome.NotApplied,
        Code = "noTimeYet",
        Message = $"Leader '{self.Name}' still asks the voters what time it is",
        RequestId = id,
    };

    private ApiResult NotLeader(Guid id) => new()
    {
        Outcome = ApiOutcome.NotApplied,
        Code = "notLeader",
        Message = $"Node '{self.Name}' does not lead",
        RequestId = id,
    };
}
