using RaftMirror.ControlPlane.Events;
using RaftMirror.ControlPlane.Model;

namespace RaftMirror.ControlPlane.Commands;

/// <content>Nodes: registration, suspicion, fencing, stop.</content>
public sealed partial class Decider
{
    private ResultData Bootstrap(BootstrapCluster c)
    {
        CheckName("cluster", c.Name);
        CheckUsage(c.ClusterId != Guid.Empty, "badId", "A cluster's id must not be zero.");
        Check(!_state.IsBootstrapped, "clusterExists", $"The cluster is already '{_state.Name}' with id {_state.Id}.");
        Emit(new ClusterBootstrapped(c.Name, c.ClusterId));
        return new ResultData(Id: c.ClusterId);
    }

    private ResultData Register(RegisterNode c)
    {
        CheckName("node", c.Node);
        CheckUsage(c.NodeId != 0 && c.Incarnation != 0, "badId", "A node's id and incarnation are 1 and up.");
        foreach (var other in _state.Nodes.Values)
        {
            Check(other.Name == c.Node || other.Id != c.NodeId, "duplicateNodeId", $"Node id {c.NodeId} belongs to '{other.Name}'.");
        }

        var old = _state.Node(c.Node);

        // The engine never gives a number twice: a higher one means that this node replaces one of the same name that was removed. It takes
        // over the place of that one as a restarted process would: later incarnation, and the former one is fenced first.
        Check(old is null || old.Id <= c.NodeId, "nodeIdChanged", $"Node '{c.Node}' has id {old?.Id}; {c.NodeId} was that of a node before it.");
        Check(old is null || old.Id == c.NodeId || c.Incarnation > old.Incarnation, "staleIncarnation",
            $"The node that '{c.Node}' replaces was in incarnation {old?.Incarnation}; this one is in {c.Incarnation}.");
        if (old is not null && old.Incarnation == c.Incarnation)
        {
            Check(old.Start == c.Start, "wentBack",
                $"Incarnation {c.Incarnation} of '{c.Node}' was another process: its data directory is an older copy, or there are two of them.");
            Check(old.Status is not (NodeStatus.Fenced or NodeStatus.Down), "fenced",
                $"Incarnation {c.Incarnation} of '{c.Node}' is {old.Status}: start the process anew.");
            Emit(new NodeRegistered(c.Node, c.NodeId, c.Incarnation, c.Api, c.Peer, c.Nbd,
                old.Predecessor?.Incarnation ?? 0, old.Predecessor?.Status)
            {
                BootId = c.BootId,
                Start = c.Start,
            });
            return new ResultData(Status: old.Status.ToString());
        }

        Check(old is null || c.Incarnation > old.Incarnation, "staleIncarnation",
            $"Node '{c.Node}' is already in incarnation {old?.Incarnation}, later than {c.Incarnation}.");
        var predecessor = old?.Predecessor;
        if (old is not null && old.HasServed && old.Status != NodeStatus.Down)
        {
            predecessor = new PredecessorState(
                old.Incarnation,
                old.Status == NodeStatus.Fenced ? PredecessorStatus.Fenced : PredecessorStatus.Suspect,
                _atMs,
                _index);
            if (old.Status is NodeStatus.Up or NodeStatus.Draining)
                Emit(new NodeSuspected(c.Node, old.Incarnation, $"incarnation {c.Incarnation} registered"));
        }

        Emit(new NodeRegistered(
            c.Node, c.NodeId, c.Incarnation, c.Api, c.Peer, c.Nbd, predecessor?.Incarnation ?? 0, predecessor?.Status)
        {
            BootId = c.BootId,
            Start = c.Start,
        });
        EndIoOfEarlierBoots(c.Node, c.BootId);
        Settle(c.Node);
        return new ResultData(Status: _state.Nodes[c.Node].Status.ToString());
    }

    private ResultData Suspect(SuspectNode c)
    {
        var node = NodeOf(c.Node, c.Incarnation);
        if (node.Status is NodeStatus.Up or NodeStatus.Draining or NodeStatus.Starting)
            Emit(new NodeSuspected(c.Node, c.Incarnation, c.Reason));
        return new ResultData(Status: _state.Nodes[c.Node].Status.ToString());
    }

    private ResultData Clear(ClearSuspicion c)
    {
        var node = NodeOf(c.Node, c.Incarnation);
        Check(node.Status is not (NodeStatus.Fenced or NodeStatus.Down), "fenced",
            $"Incarnation {c.Incarnation} of '{c.Node}' is already {node.Status}: start the process anew.");
        if (node.Status == NodeStatus.Suspect)
        {
            Emit(new SuspicionCleared(c.Node, c.Incarnation));
            Settle(c.Node);
            AssignOrphans(null);
        }

        return new ResultData(Status: _state.Nodes[c.Node].Status.ToString());
    }

    private ResultData Fence(FenceNode c)
    {
        var node = NodeOf(c.Node);
        var isPredecessor = node.Predecessor?.Incarnation == c.Incarnation;
        Check(isPredecessor || node.Incarnation == c.Incarnation, "staleIncarnation",
            $"Incarnation {c.Incarnation} of '{c.Node}' is no longer known; the current one is {node.Incarnation}.");
        var isDone = isPredecessor
            ? node.Predecessor!.Status == PredecessorStatus.Fenced
            : node.Status is NodeStatus.Fenced or NodeStatus.Down;
        if (isDone) return new ResultData(Status: node.Status.ToString());
        Check(isPredecessor || node.Status == NodeStatus.Suspect, "notSuspect",
            $"Node '{c.Node}' is {node.Status}, not suspect: only a suspect that got no lease since may be fenced.");
        var since = isPredecessor ? node.Predecessor!.SinceIndex : node.SinceIndex;
        Check(c.Receipt.SuspectedAtIndex == since, "staleReceipt",
            $"'{c.Node}' is suspect since {since}; the receipt is about a suspicion at {c.Receipt.SuspectedAtIndex}.");
        Check(c.Receipt.WaitedMs >= c.Receipt.HorizonMs && c.Receipt.HorizonMs > 0, "badReceipt",
            $"The receipt shows {c.Receipt.WaitedMs} ms of waiting, less than the horizon of {c.Receipt.HorizonMs} ms.");

        var hanging = HangingOn(c.Node, c.Incarnation);
        Emit(new NodeFenced(c.Node, c.Incarnation, c.Receipt, _state.MembershipEpoch + 1));
        foreach (var set in _state.Sets.Keys) Withdraw(set, c.Node, c.Incarnation, isClean: false, isByOperator: false, "fenced");
        foreach (var (set, complaint) in hanging) LoseWhatIsUnfenced(set, complaint, new NodeIncarnation(c.Node, c.Incarnation));
        Settle(c.Node);
        AssignOrphans(null);
        return new ResultData(Status: _state.Nodes[c.Node].Status.ToString());
    }

    private ResultData Stop(StopNode c)
    {
        var node = NodeOf(c.Node, c.Incarnation);
        Check(node.Status is not NodeStatus.Fenced, "fenced", $"Incarnation {c.Incarnation} of '{c.Node}' is already fenced.");
        if (node.Status == NodeStatus.Down) return new ResultData(Status: node.Status.ToString());
        foreach (var set in _state.Sets.Values)
            ActivationRules.CheckClosed(set, c.Node, c.Incarnation, c.Closed is { IsDefault: false } closed && closed.Contains(set.Name));
        Emit(new NodeStopped(c.Node, c.Incarnation, _state.MembershipEpoch + 1));
        foreach (var set in _state.Sets.Keys) Withdraw(set, c.Node, c.Incarnation, isClean: true, isByOperator: false, "stopped");
        Settle(c.Node);
        AssignOrphans(null);
        return new ResultData(Status: _state.Nodes[c.Node].Status.ToString());
    }

    /// <summary>Takes an incarnation out of a set: its slot is sealed (or retired, if it left clean), it owns and is awaited no more.</summary>
    private void Withdraw(string setName, string node, ulong incarnation, bool isClean, bool isByOperator, string why)
    {
        if (_state.Sets[setName].Members.GetValueOrDefault(node) is not { } member) return;
        var wasJoined = member.JoinedIncarnation == incarnation;
        if (member.Slot is { } slot && slot.Incarnation == incarnation && !member.IsMergeOwed)
        {
            if (isClean) Emit(new SlotRetired(setName, node, incarnation, slot.Generation));
            else Emit(new SlotSealed(setName, node, incarnation, slot.Generation, why));
        }

        if (wasJoined) Emit(new NodeLeftSet(setName, node, incarnation, isByOperator));
        foreach (var (name, volume) in _state.Sets[setName].Volumes)
        {
            Disown(setName, volume, node, incarnation, isClean ? TransferReason.Released : TransferReason.Lost, why);
            if (!isClean && wasJoined && volume.Recovery == RecoveryMode.App)
                Emit(new ReadsPinned(setName, name, node));
        }

        if (isClean && wasJoined) EndIoOf(setName, node, incarnation);
        AwaitNoMore(setName, node, incarnation);
        ChangeMaster(setName);
    }

    /// <summary>Ends an incarnation's part in a volume's ownership (design §14.13): as the owner, or as the target of a transfer.</summary>
    private void Disown(string set, VolumeState volume, string node, ulong incarnation, TransferReason reason, string why)
    {
        var owns = volume.Owner.Node == node && volume.Owner.Incarnation == incarnation;
        var epoch = Math.Max(volume.Owner.Epoch, volume.Transfer?.Epoch ?? 0) + 1;
        if (volume.Transfer is { To: { } to } transfer && (owns || (to == node && transfer.ToIncarnation == incarnation)))
            Emit(new TransferCancelled(set, volume.Name, to, epoch, $"'{node}' {why}"));
        if (owns) Emit(new OwnerChanged(set, volume.Name, node, null, 0, epoch, reason));
    }

    /// <summary>Draws the consequences once nothing is owed to a node's older incarnations.</summary>
    private void Settle(string name)
    {
        var node = _state.Nodes[name];
        var isMergeOwed = false;
        foreach (var set in _state.Sets.Values)
            isMergeOwed |= set.Members.GetValueOrDefault(name) is { IsMergeOwed: true, Slot: { } slot } && slot.Incarnation != 0
                && (slot.Incarnation != node.Incarnation || node.Status == NodeStatus.Fenced);

        if (isMergeOwed) return;
        if (node.Predecessor is { Status: PredecessorStatus.Fenced } predecessor)
            Emit(new PredecessorSettled(name, predecessor.Incarnation));
        node = _state.Nodes[name];
        if (node.Predecessor is not null) return;
        if (node.Status == NodeStatus.Starting) Emit(new NodeUp(name, node.Incarnation));
        else if (node.Status == NodeStatus.Fenced) Emit(new NodeDown(name, node.Incarnation));
    }
}
