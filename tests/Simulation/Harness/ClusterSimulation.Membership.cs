using RaftMirror.Consensus.Core;
using RaftMirror.Consensus.Model;

namespace RaftMirror.Simulation.Harness;

/// <content>The operator who adds, promotes, demotes, removes and replaces nodes, on whoever leads or thinks so.</content>
internal sealed partial class ClusterSimulation
{
    private const int MaxNodesEver = 14;
    private long _memberChanges;
    private int _wantedVoters = 3;
    private ushort _lastNumber;

    private static readonly byte[] SomePriorities = [50, 100, 100, 150, 0];

    private byte DrawPriority() => SomePriorities[_random.Next(SomePriorities.Length)];

    private void ScheduleMembership()
    {
        _lastNumber = (ushort)_parameters.Nodes;
        Every(_parameters.MemberEveryMs, () =>
        {
            if (_isHealed) return;
            if (_random.Chance(0.1)) _wantedVoters = 1 + _random.Next(6);
            if (Leading() is { } leader && DrawChanges(leader.Core!.Configuration) is { Count: > 0 } changes) Change(leader, changes);
        });
    }

    /// <summary>One of those that lead or believe it.</summary>
    private SimNode? Leading()
    {
        SimNode[] leading = [.. _nodes.Values.Where(static node => node is { Core.Role: RaftRole.Leader, IsPaused: false })];
        return leading.Length == 0 ? null : leading[_random.Next(leading.Length)];
    }

    private void Change(SimNode leader, List<MembershipChange> changes)
    {
        // An operator does not bring a cluster to where it has no majority.
        var current = leader.Core!.Configuration;
        if (MembershipRules.Change(current, changes, out _) is not { } final || !ClusterChecker.HasQuorum(final, IsSound)) return;
        Step(leader, core =>
        {
            if (core.ChangeMembers(changes, out var place) is not null) return;
            _memberChanges++;
            Trace("members", leader.Id, place.Index, place.Term);
            _trace?.Invoke($"        {string.Join(", ", changes.Select(change => $"{change.Action} {change.Member.Id}"))}");
        });
    }

    private List<MembershipChange> DrawChanges(Configuration current)
    {
        var changes = new List<MembershipChange>();
        var gone = current.Members.Where(id => !IsSound(id)).ToArray();
        if (gone.Length > 0 && _random.Chance(0.6)) changes.Add(Only(MembershipAction.Remove, gone[_random.Next(gone.Length)]));
        if (current.Voters.Length < _wantedVoters)
        {
            if (current.Learners.Length > 0) changes.Add(Only(MembershipAction.Promote, Draw(current.Learners)));
            else if (NewNode(current) is { } id) changes.Add(Add(id));
        }
        else if (current.Voters.Length > _wantedVoters)
        {
            changes.Add(Only(_random.Chance(0.3) ? MembershipAction.Demote : MembershipAction.Remove, Draw(current.Voters)));
        }
        else
        {
            switch (_random.Next(6))
            {
                case 0 when current.Learners.Length > 0:
                    changes.Add(Only(MembershipAction.Promote, Draw(current.Learners)));
                    changes.Add(Only(_random.Chance(0.5) ? MembershipAction.Remove : MembershipAction.Demote, Draw(current.Voters)));
                    break;
                case 1 or 2 when NewNode(current) is { } id:
                    changes.Add(Add(id));
                    break;
                case 3:
                    changes.Add(Only(MembershipAction.Demote, Draw(current.Voters)));
                    break;
                case 4 when current.Learners.Length > 0:
                    changes.Add(Only(MembershipAction.Remove, Draw(current.Learners)));
                    break;
                default:
                    var known = current.Details[_random.Next(current.Details.Length)];
                    changes.Add(new MembershipChange(MembershipAction.Update, _parameters.Priorities
                        ? known with { Priority = DrawPriority() }
                        : known with { Address = $"n{known.Id}:{_random.Next(1, 65536)}" }));
                    break;
            }
        }

        // Once per member.
        return [.. changes.DistinctBy(change => change.Member.Id)];
    }

    private NodeId Draw(NodeId[] ids) => ids[_random.Next(ids.Length)];

    private static MembershipChange Only(MembershipAction action, NodeId id) => new(action, new Member(id, "", ""));

    private MembershipChange Add(NodeId id) => new(
        MembershipAction.AddLearner, new Member(id, $"n{id}", $"n{id}:1", _parameters.Priorities ? DrawPriority() : Member.DefaultPriority));

    /// <summary>A process that waits to be told, with a number never given.</summary>
    private NodeId? NewNode(Configuration current)
    {
        if (_nodes.Values.LastOrDefault() is { IsUp: true } idle && idle.Id.Value >= current.NextId) return idle.Id;
        if (_nodes.Count >= MaxNodesEver) return null;
        _lastNumber = Math.Max(_lastNumber, (ushort)(current.NextId - 1));
        var node = AddNode(new NodeId(++_lastNumber), Configuration.Empty);
        Boot(node);
        ScheduleTick(node);
        return node.Id;
    }
}
