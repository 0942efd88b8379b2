using System.Net;
using RaftMirror.Consensus.Model;

namespace RaftMirror.Consensus.Transport;

/// <summary>Who is dialled: the members, and unknown peers that have dialled this node, for as long as they stay connected. A node
/// must answer candidates that its own configuration does not name yet.</summary>
internal sealed partial class PeerTransport
{
    private readonly bool _isOffHostAllowed;

    /// <summary>Who takes part has changed. Links to new members begin, addresses change, links to nodes that left end after what is
    /// queued for them has left. Any thread; does not wait.</summary>
    /// <param name="members">All members of the latest configuration, committed or not, and of the joint one's both halves;
    /// HOST:PORT each. An address that cannot be parsed, or is off the host without TLS, is not dialled.</param>
    /// <param name="hasLeft">True for nodes that a <i>committed</i> configuration removed. They are refused and told so, for good: were
    /// it said of an uncommitted one, a leader that leaves could not commit its own removal.</param>
    public void UpdateMembers(IReadOnlyDictionary<NodeId, string> members, Func<NodeId, bool> hasLeft)
    {
        var endpoints = new Dictionary<NodeId, IPEndPoint>();
        foreach (var (id, address) in members)
        {
            if (ParseAddress(address) is { } endpoint) endpoints.Add(id, endpoint);
        }

        var before = _directory.Members;
        _directory.Update(endpoints, hasLeft);
        _inbound.MembersChanged();
        Reconcile();
        foreach (var (id, endpoint) in endpoints)
        {
            if (before.TryGetValue(id, out var old) && old.Equals(endpoint)) continue;
            if (_raftLinks.TryGetValue(id, out var link)) link.Nudge();
            ResetCalls(id, "the peer's address has changed");
        }
    }

    /// <summary>What both this node and a peer can do, one bit each; nothing if it was never met.</summary>
    public ulong FeaturesOf(NodeId peer) => _directory.FeaturesOf(peer);

    private IPEndPoint? ParseAddress(string address)
    {
        try
        {
            return PeerAddress.Parse(address, _isOffHostAllowed);
        }
        catch (ArgumentException error)
        {
            TransportLogMessages.BadAddress(_logger, address, error.Message);
            return null;
        }
    }

    /// <summary>A peer has connected: if it is known it is there again, else it gets a way back.</summary>
    private void Welcome(in Hello hello, string remote)
    {
        if (!_directory.IsMember(hello.From))
        {
            if (hello.Address.Length > 0 && ParseAddress(hello.Address) is { } address) _directory.Advertise(hello.From, address);
            TransportLogMessages.UnknownPeer(_logger, hello.From, remote);
            Reconcile();
        }

        if (_raftLinks.TryGetValue(hello.From, out var link)) link.Nudge();
    }

    /// <summary>Makes the links what the members and connections ask for.</summary>
    private void Reconcile()
    {
        lock (_linksGate)
        {
            if (_isStopped) return;
            var wanted = _directory.Members.Keys.Concat(_inbound.UnknownOnRaftLane().Where(id => _directory.AddressOf(id) is not null))
                .Where(id => id != _directory.Self).ToHashSet();
            var links = new Dictionary<NodeId, RaftLink>();
            foreach (var (id, link) in _raftLinks)
            {
                if (wanted.Contains(id)) links.Add(id, link);
                else End(id, link);
            }

            foreach (var id in wanted.Where(id => !links.ContainsKey(id)))
                links.Add(id, NewLink(id));
            _raftLinks = links;
        }
    }

    private RaftLink NewLink(NodeId peer) =>
        new(_directory, _handshaker, _connections, _limits, peer, isUp => OnConnected(peer, isUp), refusal => OnRefused(peer, refusal), _logger);

    private void End(NodeId id, RaftLink link)
    {
        var task = EndAsync();
        if (task.IsCompleted) return;
        _ending.Add(task);
        _ = task.ContinueWith(Forget, CancellationToken.None, TaskContinuationOptions.None, TaskScheduler.Default);

        async Task EndAsync()
        {
            await link.EndAsync(drain: true);
            foreach (var (key, call) in _rpcLinks)
            {
                if (key.Peer == id && !IsWanted(id) && _rpcLinks.TryRemove(key, out _)) await call.DisposeAsync();
            }

            if (!IsWanted(id)) _directory.Forget(id);
        }
    }

    private bool IsWanted(NodeId id)
    {
        lock (_linksGate) return _raftLinks.ContainsKey(id);
    }

    private void Forget(Task task)
    {
        lock (_linksGate) _ending.Remove(task);
    }

    private void ResetCalls(NodeId id, string reason)
    {
        foreach (var (key, link) in _rpcLinks)
        {
            if (key.Peer == id) link.Reset(reason);
        }
    }

    private void OnConnected(NodeId peer, bool isConnected)
    {
        if (!_isStopped) RaftConnected?.Invoke(peer, isConnected);
    }

    private void OnRefused(NodeId by, HandshakeRefusedException refusal)
    {
        if (refusal.LaterIncarnation > 0) Outlived?.Invoke(by, refusal.LaterIncarnation);
        else OnRemoved(by, refusal.Message);
    }

    private void OnRemoved(NodeId by, string text)
    {
        lock (_linksGate)
        {
            if (!_removedBy.Add(by)) return;
        }

        TransportLogMessages.RemovedByPeer(_logger, by);
        Removed?.Invoke(by, text);
    }
}
