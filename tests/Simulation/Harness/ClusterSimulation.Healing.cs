using System.Globalization;
using RaftMirror.Consensus.Core;
using RaftMirror.Consensus.Model;
using RaftMirror.Consensus.Snapshots;

namespace RaftMirror.Simulation.Harness;

/// <content>The second phase: what must work once enough is healed.</content>
internal sealed partial class ClusterSimulation
{
    private ulong _healedAtCommit;
    private long _healedAtAcknowledged;
    private long _healedAtReads;

    private void Heal()
    {
        Trace("heal", default);
        _isHealed = true;
        _cut.Clear();
        EndMajorityBack();
        if (_parameters.LeavesDead) KeepSomeDown();
        foreach (var node in _nodes.Values.ToArray())
        {
            node.Power.FailBefore(0);
            node.Disk.FailNextFlush = node.Disk.IsFull = node.SnapshotDisk.IsFull = false;
            if (!node.IsUp) Boot(node);
            else if (node.IsPaused) Resume(node);
        }

        _healedAtCommit = (ulong)_checker.CommittedCount;
        _healedAtAcknowledged = Acknowledged;
        _healedAtReads = Reads;
    }

    /// <summary>As many as the rest can do without, whatever configuration comes to count.</summary>
    private void KeepSomeDown()
    {
        foreach (var node in _nodes.Values.OrderBy(_ => _random.NextUInt64()).ToArray())
        {
            if (!_random.Chance(0.6) || !_checker.HasQuorum(id => id != node.Id && IsSound(id) && !_nodes[id].IsKeptDown)) continue;
            node.IsKeptDown = true;
            Trace("left down", node.Id);
            if (node.IsUp) Crash(node, power: false);
        }
    }

    /// <summary>The members from whom all is demanded.</summary>
    private IEnumerable<SimNode> Living() =>
        _nodes.Values.Where(node => _checker.Members.SlotOf(node.Id) >= 0 && node is { IsGone: false, IsKeptDown: false });

    /// <summary>Under load, since it was healed: proposals and reads were answered, every member has what was committed before, and whoever
    /// is wrong knows it.</summary>
    private bool HasServed() =>
        Acknowledged > _healedAtAcknowledged && Reads > _healedAtReads
        && Living().All(node => node.Core is { } core && (node.IsQuarantined || node.IsOld || (!node.IsCorrupt && core.AppliedIndex >= _healedAtCommit)));

    /// <summary>One leader whom all members follow, nothing owed, everyone has applied the same.</summary>
    private bool IsConverged()
    {
        var leader = Living().FirstOrDefault(node => node.Core?.Role == RaftRole.Leader);
        if (leader is null || _workload.Unsettled(leader.StateMachine!) is not null) return false;
        return !leader.Core!.Configuration.IsJoint && Living().All(node =>
            node.Core is { } core && core.Leader == leader.Id && core.Term == leader.Core!.Term
            && core.Log.LastIndex == leader.Core.Log.LastIndex && core.AppliedIndex == core.Log.LastIndex
            && core.Commit == core.Log.LastIndex && node.Reads.Count == 0 && node.WaitingReads.Count == 0);
    }

    private void Exercise()
    {
        if (!_parameters.Exercises) return;
        ReplaceTheDead();
        HandOver();
        Disturb();
    }

    /// <summary>Does something again and again until it has worked.</summary>
    private void Insist(Func<bool> done, Action<SimNode> ask, string otherwise)
    {
        var isOver = false;
        void Again()
        {
            if (isOver) return;
            if (Leading() is { } leader) ask(leader);
            At(200, Again);
        }

        Again();
        Demand(done, otherwise);
        isOver = true;
    }

    private void Reseed(SimNode node)
    {
        Insist(
            () => node is { IsQuarantined: false, IsUp: true, IsCorrupt: false } && node.Core!.AppliedIndex >= _healedAtCommit,
            leader =>
            {
                if (node is not { IsQuarantined: true, IsUp: true } || leader.Store!.Newest() is not { } newest) return;
                if (newest.Last.Index < node.Core!.Log.Base.Index || leader == node) return;
                node.ReseedFrom = newest.Last;
                node.Receiver!.Offered(leader.Id, SnapshotOffer.Of(newest), node.LocalTime(_now));
                Receive(node, node.Core);
            },
            "a node found to be wrong was not seeded anew");
    }

    /// <summary>Members that are gone are removed, and a new node takes their place: changes of membership are possible.</summary>
    private void ReplaceTheDead()
    {
        if (_nodes.Count >= MaxNodesEver + 2 || _parameters.Corrupts) return;
        var fresh = AddNode(new NodeId(++_lastNumber), Configuration.Empty);
        Boot(fresh);
        ScheduleTick(fresh);
        var number = fresh.Id;
        Insist(
            () => _checker.Members.IsVoter(number) && !_checker.Members.IsJoint
                && _checker.Members.Members.All(id => _nodes[id] is { IsGone: false, IsKeptDown: false }) && fresh.Applied >= _healedAtCommit,
            leader =>
            {
                var current = leader.Core!.Configuration;
                var dead = current.Members.FirstOrDefault(id => _nodes[id].IsGone || _nodes[id].IsKeptDown);
                if (current.IsJoint) return;
                if (current.SlotOf(number) < 0) Change(leader, [Add(number)]);
                else if (!current.IsVoter(number)) Change(leader, [Only(MembershipAction.Promote, number)]);
                else if (dead.Value != 0) Change(leader, [Remove(current, dead, leader.Id)]);
            },
            $"new node {number} is no voter, or the dead are still members");
    }

    /// <summary>The last one with a priority is not removed: another is given one first.</summary>
    private static MembershipChange Remove(Configuration current, NodeId dead, NodeId leader)
    {
        var removal = Only(MembershipAction.Remove, dead);
        return MembershipRules.Change(current, [removal], out _) is not null
            ? removal
            : new MembershipChange(MembershipAction.Update, current.Details[current.SlotOf(leader)] with { Priority = Member.DefaultPriority });
    }

    /// <summary>Leadership can be handed over, and commands go on afterwards.</summary>
    private void HandOver()
    {
        if (Leading() is not { } first || first.Core!.Configuration.Voters.Count(id => _nodes[id].IsUp) < 2) return;
        var term = first.Core.Term;
        var before = 0L;
        Insist(
            () =>
            {
                if (before == 0 && Leading() is { } now && now.Core!.Term > term) before = Acknowledged + 1;
                return before != 0 && Acknowledged > before;
            },
            leader =>
            {
                if (leader.Core!.Term != term) return;
                NodeId[] others = [.. leader.Core.Configuration.Voters.Where(id => id != leader.Id && _nodes[id].IsUp)];
                Step(leader, core => core.TransferLeadership(Draw(others)));
            },
            "leadership was not handed over, or nothing was acknowledged afterwards");
    }

    /// <summary>One voter and the leader do not hear each other; everybody else hears both. Nobody may be deposed for it, nor when the link is back
    /// (Howard and Abraham 2020).</summary>
    private void Disturb()
    {
        if (_parameters.Priorities || _parameters.Corrupts) return; // Leadership may be handed on then by itself.
        RunFor(1000 + (_parameters.StallChance > 0 ? _parameters.StallMs : 0)); // Disks that hung when the faults ended go on.
        if (Leading() is not { } leader || Living().Any(node => node.Core?.Leader != leader.Id)) return;
        var voters = leader.Core!.Configuration.Voters.Where(id => id != leader.Id && _nodes[id].IsUp).ToArray();
        if (voters.Length < 2) return;
        var lonely = voters[_random.Next(voters.Length)];
        if (!ClusterChecker.HasQuorum(leader.Core.Configuration, id => id != lonely && _nodes[id].IsUp)) return;
        var term = leader.Core.Term;
        Trace("disturb", lonely);
        _cut.Add((lonely, leader.Id));
        _cut.Add((leader.Id, lonely));
        RunFor(3000);
        _cut.Clear();
        RunFor(1500);
        if (leader.Core is not { Role: RaftRole.Leader } core || core.Term != term)
        {
            throw new SimulationException(
                $"18 stability: node {leader.Id}, which led in term {term} and had a majority, was deposed by node {lonely}, which did not hear it: {Describe()}");
        }
    }

    private void RunFor(long lengthMs)
    {
        var end = _now + lengthMs;
        RunUntil(() => _now >= end);
    }

    private string Describe() => string.Join("; ", _nodes.Values.Select(node => node.Core is { } core
        ? string.Create(
            CultureInfo.InvariantCulture,
            $"node {node.Id} {core.Role} term {core.Term} leader {core.Leader} log {core.Log.Base.Index}..{core.Log.LastIndex} commit {core.Commit} applied {core.AppliedIndex} {core.Configuration}"
            + $"{(core.IsBarred ? " barred" : "")}{(core.IsAdmitted ? "" : " not admitted")}{(node.IsOld ? " old" : "")}{(node.IsCorrupt ? " corrupt" : "")}{(node.Receiver!.Progress.Offer is { } offer ? $" fetching {offer.Last.Index}" : "")}")
        : $"node {node.Id} {(node.IsGone ? "gone" : "down")}"))
        + string.Concat(_nodes.Values.Where(node => node.Core?.Role == RaftRole.Leader).Select(node => $"; owed: {_workload.Unsettled(node.StateMachine!)}"));
}
