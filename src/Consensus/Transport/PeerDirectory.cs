using System.Net;
using RaftMirror.Consensus.Model;

namespace RaftMirror.Consensus.Transport;

/// <summary>Who the members are, who this node is, and which lives of the others were seen. Safe on any thread.</summary>
/// <param name="clusterId">The cluster's.</param>
/// <param name="self">This node.</param>
/// <param name="incarnation">This node's life.</param>
/// <param name="members">Addresses of the members; this node may be among them.</param>
internal sealed class PeerDirectory(
    Guid clusterId, NodeId self, ulong incarnation, IReadOnlyDictionary<NodeId, IPEndPoint> members)
{
    private readonly object _gate = new();
    private readonly Dictionary<NodeId, Life> _lives = [];
    private readonly Dictionary<NodeId, IPEndPoint> _advertised = [];
    private IReadOnlyDictionary<NodeId, IPEndPoint> _members = members;
    private Func<NodeId, bool> _hasLeft = static _ => false;

    public NodeId Self { get; } = self;

    public Guid ClusterId { get; } = clusterId;

    public ulong Incarnation { get; } = incarnation;

    /// <summary>What this node can do, one bit each; none is defined yet.</summary>
    public ulong Features { get; init; }

    /// <summary>What this node speaks; differs from the build's in tests only.</summary>
    public VersionRange Versions { get; init; } = VersionRange.Own;

    /// <summary>HOST:PORT of this node's listener, told to peers that do not know it.</summary>
    public string Advertised { get; init; } = members.TryGetValue(self, out var own) ? own.ToString() : string.Empty;

    public IReadOnlyDictionary<NodeId, IPEndPoint> Members
    {
        get
        {
            lock (_gate) return _members;
        }
    }

    /// <summary>Replaces the members.</summary>
    /// <param name="changed">All of them, with their addresses.</param>
    /// <param name="hasLeft">True for nodes that were removed by a <i>committed</i> configuration: they are refused for good.</param>
    public void Update(IReadOnlyDictionary<NodeId, IPEndPoint> changed, Func<NodeId, bool> hasLeft)
    {
        lock (_gate)
        {
            _members = changed;
            _hasLeft = hasLeft;
            foreach (var id in changed.Keys) _advertised.Remove(id);
        }
    }

    public bool IsMember(NodeId id)
    {
        lock (_gate) return _members.ContainsKey(id);
    }

    public bool HasLeft(NodeId id)
    {
        lock (_gate) return !_members.ContainsKey(id) && _hasLeft(id);
    }

    /// <summary>Where a node listens: as the members say, else as it said itself.</summary>
    public IPEndPoint? AddressOf(NodeId id)
    {
        lock (_gate) return _members.GetValueOrDefault(id) ?? _advertised.GetValueOrDefault(id);
    }

    /// <summary>Remembers where a node that is no member says it listens.</summary>
    public void Advertise(NodeId id, IPEndPoint address)
    {
        lock (_gate)
        {
            if (!_members.ContainsKey(id)) _advertised[id] = address;
        }
    }

    /// <summary>Forgets a node that is no member and has gone; its lives too, or unknown numbers would fill the memory.</summary>
    public void Forget(NodeId id)
    {
        lock (_gate)
        {
            _advertised.Remove(id);
            if (!_members.ContainsKey(id)) _lives.Remove(id);
        }
    }

    /// <summary>Judges a dialler's first bytes. Remembers nothing: they may be a recording.</summary>
    public HandshakeStatus Judge(in Hello hello)
    {
        if (Versions.CommonWith(hello.Versions) is null) return HandshakeStatus.VersionMismatch;
        if (hello.ClusterId != ClusterId) return HandshakeStatus.WrongCluster;
        if (hello.To != Self) return HandshakeStatus.WrongNode;
        if (hello.From == Self || hello.From.Value == 0) return HandshakeStatus.UnknownPeer;
        if (HasLeft(hello.From)) return HandshakeStatus.Removed;
        return IsCurrent(hello.From, hello.Incarnation) ? HandshakeStatus.Accepted : HandshakeStatus.StaleIncarnation;
    }

    /// <summary>True if no later life of the peer has been seen.</summary>
    public bool IsCurrent(NodeId peer, ulong life)
    {
        lock (_gate) return life >= _lives.GetValueOrDefault(peer).Incarnation;
    }

    /// <summary>The latest life of the peer that has been seen; 0 for none.</summary>
    public ulong NewestLifeOf(NodeId peer)
    {
        lock (_gate) return _lives.GetValueOrDefault(peer).Incarnation;
    }

    /// <summary>Remembers a life of a peer that has proven to be live.</summary>
    /// <returns>False if a later one has been seen.</returns>
    public bool Admit(NodeId peer, ulong life, ulong features)
    {
        lock (_gate)
        {
            if (life < _lives.GetValueOrDefault(peer).Incarnation) return false;
            _lives[peer] = new Life(life, features);
            return true;
        }
    }

    /// <summary>What both this node and the peer's latest life can do; nothing if it was never met.</summary>
    public ulong FeaturesOf(NodeId peer)
    {
        lock (_gate) return _lives.GetValueOrDefault(peer).Features & Features;
    }

    private readonly record struct Life(ulong Incarnation, ulong Features);
}
