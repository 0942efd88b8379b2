using RaftMirror.Consensus.Model;

namespace RaftMirror.Consensus.Transport;

/// <summary>Who is connected to this node: one connection per peer and lane, of the peer's latest life; a bounded number of
/// peers that no configuration names. Any thread.</summary>
internal sealed class InboundPeers(PeerDirectory directory, TransportLimits limits)
{
    private readonly object _gate = new();
    private readonly Dictionary<(NodeId Peer, Lane Lane), PeerConnection> _connections = [];
    private readonly Dictionary<NodeId, InboundBudget> _budgets = [];
    private readonly List<NodeId> _unknown = [];

    /// <summary>Adds a connection: its predecessor on the lane ends, and all of earlier lives. Of too many unknown peers the one
    /// that came first goes. Who came first is what the listener saw, whatever the threads of the handshakes did since.</summary>
    /// <param name="connection">After its handshake.</param>
    /// <param name="reason">Why it must end at once, if it must.</param>
    /// <returns>The peer's share of the loop's inbox, the same for all its connections; null if the connection must end.</returns>
    public InboundBudget? Add(PeerConnection connection, out string reason)
    {
        lock (_gate)
        {
            reason = AddLocked(connection) ?? string.Empty;
            return reason.Length == 0 ? BudgetOf(connection.Peer) : null;
        }
    }

    /// <summary>A connection has ended.</summary>
    public void Remove(PeerConnection connection)
    {
        lock (_gate)
        {
            var key = (connection.Peer, connection.Lane);
            if (_connections.GetValueOrDefault(key) == connection) _connections.Remove(key);
            if (!_connections.Keys.Any(other => other.Peer == connection.Peer) && _unknown.Remove(connection.Peer)) _budgets.Remove(connection.Peer);
        }
    }

    /// <summary>Unknown peers that hold a Raft connection here: they get a way back.</summary>
    public List<NodeId> UnknownOnRaftLane()
    {
        lock (_gate) return [.. _unknown.Where(peer => _connections.ContainsKey((peer, Lane.Raft)))];
    }

    /// <summary>The members have changed: some that were unknown are members now, with a member's share.</summary>
    public void MembersChanged()
    {
        lock (_gate)
        {
            foreach (var peer in _connections.Keys.Select(key => key.Peer).Distinct())
            {
                if (directory.HasLeft(peer)) EndLocked(peer, "the peer has left the cluster"); // It dials again, and is told.
                else if (directory.IsMember(peer))
                {
                    // A member's share comes with its next connection, which it is made to open.
                    if (_unknown.Remove(peer) && _budgets.Remove(peer)) EndLocked(peer, "the peer is a member now");
                }
                else if (!_unknown.Contains(peer)) _unknown.Add(peer);
            }
        }
    }

    private string? AddLocked(PeerConnection connection)
    {
        var peer = connection.Peer;

        // A later life counts from its handshake on, and comes here afterwards: it ends what it finds, and nothing older comes behind it.
        if (!directory.IsCurrent(peer, connection.Incarnation)) return "the peer has started anew";
        if (_connections.GetValueOrDefault((peer, connection.Lane)) is { } same && same.Incarnation == connection.Incarnation && same.Order > connection.Order)
            return "the peer has connected anew";
        var isMember = directory.IsMember(peer);
        if (!isMember && !_unknown.Contains(peer) && _unknown.Count >= limits.MaxUnknownPeers)
        {
            const string tooMany = "too many peers that no configuration names";
            var first = _unknown.MinBy(LatestOrder);
            if (LatestOrder(first) > connection.Order) return tooMany;
            EndLocked(first, tooMany);
        }

        foreach (var (key, other) in _connections)
        {
            if (key.Peer != peer) continue;
            if (key.Lane == connection.Lane) other.End("the peer has connected anew");
            else if (other.Incarnation < connection.Incarnation) other.End("the peer has started anew");
        }

        _connections[(peer, connection.Lane)] = connection;
        if (isMember) _unknown.Remove(peer);
        else if (!_unknown.Contains(peer))
        {
            _unknown.Add(peer);
            _budgets.Remove(peer);
        }

        return null;
    }

    private long LatestOrder(NodeId peer) => _connections.Where(item => item.Key.Peer == peer).Max(item => (long?)item.Value.Order) ?? 0;

    private InboundBudget BudgetOf(NodeId peer)
    {
        if (_budgets.TryGetValue(peer, out var known)) return known;
        var items = directory.IsMember(peer) ? limits.MaxPeerMessages : limits.MaxUnknownPeerMessages;
        return _budgets[peer] = new InboundBudget(items, limits.MaxPeerBytes);
    }

    private void EndLocked(NodeId peer, string reason)
    {
        foreach (var (key, connection) in _connections)
        {
            if (key.Peer == peer) connection.End(reason);
        }

        _unknown.Remove(peer);
    }
}
