using System.Collections.Immutable;
using System.Diagnostics.CodeAnalysis;
using RaftMirror.ControlPlane.Events;
using RaftMirror.ControlPlane.Model;
using RaftMirror.Primitives;

namespace RaftMirror.ControlPlane.Commands;

/// <summary>Decides commands: state and command in, events or a refusal out. Pure; the leader runs the same code for dry runs.
/// Each event is folded into the working state at once, so that later steps of the same command see it.</summary>
public sealed partial class Decider
{
    private readonly CommandEnvelope _envelope;
    private readonly ulong _index;
    private readonly List<EventRecord> _events = [];
    private ClusterState _state;
    private long _atMs; // Log time of the command; only a correction of the clock changes it.

    private Decider(ClusterState state, CommandEnvelope envelope, ulong index, long atMs)
    {
        _state = state;
        _envelope = envelope;
        _index = index;
        _atMs = atMs;
    }

    /// <summary>Decides a command as if it stood at a log position.</summary>
    /// <param name="state">The state before it.</param>
    /// <param name="envelope">The command.</param>
    /// <param name="index">Its position; for a dry run the next one.</param>
    public static Decision Decide(ClusterState state, CommandEnvelope envelope, ulong index)
    {
        var atMs = Math.Max(state.LogTimeMs + 1, envelope.AtMs);
        var requests = state.Requests.Expire(atMs);
        if ((RequestRules.Answer(requests, envelope.Id, envelope.Digest, index)
            ?? RequestRules.RefuseForTime(requests, envelope, index, atMs)) is { } answer)
        {
            return new Decision(answer, [], state, atMs, IsRemembered: false);
        }

        var decider = new Decider(state, envelope, index, atMs);
        try
        {
            var data = decider.Dispatch(envelope.Body);
            return new Decision(
                new CommandResult(CommandOutcome.Applied, index, "ok", RejectionKind.None, false, null, data),
                [.. decider._events],
                decider._state,
                decider._atMs);
        }
        catch (RejectionException refusal)
        {
            return new Decision(
                new CommandResult(
                    CommandOutcome.Rejected, index, refusal.Code, refusal.Kind, refusal.IsRetryable,
                    refusal.Message + " Nothing was applied.", null),
                [],
                state,
                atMs);
        }
    }

    private ResultData? Dispatch(CommandBody body)
    {
        if (!_state.IsBootstrapped && body is not BootstrapCluster)
            Reject("noCluster", RejectionKind.Precondition, "The cluster has not been bootstrapped yet; wait for it.", isRetryable: true);
        return body switch
        {
            BootstrapCluster c => Bootstrap(c),
            CorrectClock c => Correct(c),
            RegisterNode c => Register(c),
            StopNode c => Stop(c),
            SuspectNode c => Suspect(c),
            ClearSuspicion c => Clear(c),
            FenceNode c => Fence(c),
            CreateSet c => Create(c),
            JoinSet c => Join(c),
            LeaveSet c => Leave(c),
            AddDisk c => Add(c),
            OpenSlot c => Open(c),
            AbandonSlot c => Abandon(c),
            CreateMirror c => Create(c),
            DeleteMirror c => Delete(c),
            MarkRecovered c => Recover(c),
            ConfirmNodeOff c => ConfirmOff(c),
            MoveOwner c => Move(c),
            ReleaseOwner c => Release(c),
            CancelTransfer c => Cancel(c),
            MergeDirtyLog c => Merge(c),
            ReportResync c => Report(c),
            FinishResync c => Finish(c),
            FailSubmirror c => Fail(c),
            ConfirmBarrier c => Confirm(c),
            StampLabels c => Stamp(c),
            LoseDisk c => Lose(c),
            ReturnDisk c => Return(c),
            ReportDisks c => Report(c),
            ReportDiskIoEnded c => EndIo(c),
            SetDiskPath c => SetPath(c),
            StartActivation c => Activate(c),
            CompleteActivation c => Activate(c),
            GiveUpActivation c => GiveUp(c),
            LeaveLogDisk c => Leave(c),
            _ => throw new InvariantException($"No command of type {body.GetType().Name} is known to this version."),
        };
    }

    private void Emit(ClusterEvent happened)
    {
        var record = new EventRecord(_index, _events.Count, _atMs, _envelope.Id, _envelope.By, _envelope.Traceparent, happened);
        _events.Add(record);
        _state = Evolver.Evolve(_state, record);
    }

    [DoesNotReturn]
    private static void Reject(string code, RejectionKind kind, string message, bool isRetryable = false) =>
        throw new RejectionException(code, kind, isRetryable, message);

    private static void Check([DoesNotReturnIf(false)] bool condition, string code, string message, bool isRetryable = false)
    {
        if (!condition) Reject(code, RejectionKind.Precondition, message, isRetryable);
    }

    private static void CheckUsage([DoesNotReturnIf(false)] bool condition, string code, string message)
    {
        if (!condition) Reject(code, RejectionKind.Usage, message);
    }

    private static void CheckName(string what, string name) =>
        CheckUsage(Names.IsValid(name), "badName", $"'{name}' is no name for a {what}: use {Names.Rule}.");

    private NodeState NodeOf(string name)
    {
        if (_state.Node(name) is { } node) return node;
        Reject("noSuchNode", RejectionKind.NotFound, $"There is no node '{name}'; known are: {string.Join(", ", _state.Nodes.Keys)}.");
        return null;
    }

    /// <summary>The node, if the incarnation is its current one.</summary>
    private NodeState NodeOf(string name, ulong incarnation)
    {
        var node = NodeOf(name);
        Check(node.Incarnation == incarnation, "staleIncarnation",
            $"Node '{name}' is now in incarnation {node.Incarnation}, not {incarnation}; the older process may do nothing any more.");
        return node;
    }

    private SetState SetOf(string name)
    {
        if (_state.Set(name) is { } set) return set;
        Reject("noSuchSet", RejectionKind.NotFound, $"There is no disk set '{name}'; known are: {string.Join(", ", _state.Sets.Keys)}.");
        return null;
    }

    private static MemberState MemberOf(SetState set, string node)
    {
        if (set.Members.GetValueOrDefault(node) is { } member) return member;
        Reject("notAMember", RejectionKind.Precondition,
            $"Node '{node}' does not belong to disk set '{set.Name}'; its nodes are: {string.Join(", ", set.Members.Keys)}.");
        return null;
    }

    /// <summary>The member, if that incarnation has joined the set. It may be suspect: what it says about its own I/O still holds.</summary>
    private MemberState JoinedMember(SetState set, string node, ulong incarnation)
    {
        var known = NodeOf(node, incarnation);
        var member = MemberOf(set, node);
        Check(member.JoinedIncarnation == incarnation, "notJoined", known.IsLive
            ? $"Node '{node}' (incarnation {incarnation}) has not joined disk set '{set.Name}'; join it first."
            : $"Node '{node}' (incarnation {incarnation}) is {known.Status}, so it has no part in disk set '{set.Name}' now; start it first.");
        return member;
    }

    private VolumeState VolumeOf(string set, string name)
    {
        var theSet = SetOf(set);
        if (theSet.Volumes.GetValueOrDefault(name) is { } volume) return volume;
        Reject("noSuchVolume", RejectionKind.NotFound,
            $"There is no volume '{set}/{name}'; known are: {string.Join(", ", theSet.Volumes.Keys)}.");
        return null;
    }

    private void CheckEvidence(SetState set, ImmutableSortedDictionary<string, ulong> evidence, bool isComplete)
    {
        foreach (var (name, incarnation) in evidence)
        {
            MemberOf(set, name);
            Check(NodeOf(name).Incarnation == incarnation, "evidenceStale",
                $"Node '{name}' restarted since it validated this; try again.", isRetryable: true);
        }

        if (!isComplete) return;
        foreach (var (name, member) in set.Members)
        {
            if (!Duties.IsJoined(_state.Nodes[name], member)) continue;
            Check(evidence.ContainsKey(name), "evidenceMissing",
                $"Node '{name}' has joined '{set.Name}' but did not validate this; try again.", isRetryable: true);
        }
    }

    private static ImmutableArray<NodeIncarnation> Joined(SetState set) =>
        [.. set.Members.Values.Where(static m => m.JoinedIncarnation != 0)
            .Select(static m => new NodeIncarnation(m.Node, m.JoinedIncarnation))];
}
