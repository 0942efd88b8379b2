using System.Net;
using System.Net.Sockets;
using RaftMirror.Consensus.Model;
using RaftMirror.Consensus.Transport;

namespace RaftMirror.Consensus.Node;

/// <summary>How a node is set up. Members and cluster name count at the first start only: afterwards they are read
/// from the data directory, and a contradiction in the node's own id or the cluster's name is refused.</summary>
public sealed record RaftNodeOptions
{
    /// <summary>The directory of identity and log; made if missing. One process at a time (lock file).</summary>
    public required string DataDirectory { get; init; }

    /// <summary>This node's id; must be among <see cref="InitialMembers"/> at the first start.</summary>
    public required NodeId Self { get; init; }

    /// <summary>Where peers connect; loopback only unless <see cref="Tls"/> is set; port 1 to 65535.</summary>
    public required IPEndPoint PeerEndpoint { get; init; }

    /// <summary>HOST:PORT of every member's peer listener, this node's included; HOST is an IP address or "localhost". All nodes of
    /// the first start must be given the same ids and addresses; the addresses of later starts are taken from here where present.</summary>
    public required IReadOnlyDictionary<NodeId, string> InitialMembers { get; init; }

    /// <summary>With the ids and addresses of the first start's members this makes the cluster id, so that nodes of different
    /// clusters refuse each other. 1 to 200 characters.</summary>
    public required string ClusterName { get; init; }

    /// <summary>Names of the first start's members, for people; missing ones are empty.</summary>
    public IReadOnlyDictionary<NodeId, string> MemberNames { get; init; } = new Dictionary<NodeId, string>();

    /// <summary>Set at the first start of a node that joins a running cluster: that cluster's id. <see cref="Self"/> is then the number that the
    /// cluster gave it, and <see cref="InitialMembers"/> says only where others are: who votes it learns from the log.</summary>
    public Guid? JoinClusterId { get; init; }

    /// <summary>At the first start: the incarnation before this node's first. A node that takes a former one's name must be in a later
    /// incarnation than that one ever was. Ignored afterwards.</summary>
    public ulong AfterIncarnation { get; init; }

    /// <summary>A snapshot is taken each time so many entries have been applied, 16 and up. The same on all nodes of a cluster.</summary>
    public int SnapshotEntries { get; init; } = 8192;

    /// <summary>Or so many bytes of entries. The same on all nodes of a cluster.</summary>
    public long SnapshotBytes { get; init; } = 32 * 1024 * 1024;

    /// <summary>The nodes' states are compared each time so many entries have been applied since the last snapshot, 1 and up. The same on all
    /// nodes of a cluster.</summary>
    public int CheckpointEntries { get; init; } = 512;

    /// <summary>A write that takes longer than this many milliseconds is taken for a hung disk: the node gives leadership up.</summary>
    public int DiskStallMs { get; init; } = 1000;

    /// <summary>Read barriers may be answered from a lease, without asking a majority. Rests on clocks that run at nearly the same rate
    /// (1 %); the same on all nodes of a cluster.</summary>
    public bool LeaseReads { get; init; }

    /// <summary>Time between a leader's heartbeats, in milliseconds.</summary>
    public int HeartbeatMs { get; init; } = 50;

    /// <summary>Shortest time without a leader before a campaign; also how long votes against a live leader are refused.</summary>
    public int ElectionTimeoutMinMs { get; init; } = 400;

    /// <summary>Longest time without a leader before a campaign, and how long a leader leads on without a majority.</summary>
    public int ElectionTimeoutMaxMs { get; init; } = 800;

    /// <summary>How long a proposal or barrier waits for a leader and its answer when the caller sets no shorter limit.</summary>
    public TimeSpan RequestTimeout { get; init; } = TimeSpan.FromSeconds(15);

    /// <summary>Length of a log segment in bytes: a multiple of 4096, at least 4 MiB.</summary>
    public long SegmentBytes { get; init; } = 16 * 1024 * 1024;

    /// <summary>Seeds election timeouts; by default made from node id, incarnation and the clock.</summary>
    public ulong? Seed { get; init; }

    /// <summary>Mutual TLS between nodes, the same kind on all of them; null for none, on this host only.</summary>
    public PeerTlsOptions? Tls { get; init; }

    /// <summary>What this node sends of snapshots per second, in bytes, to all others together.</summary>
    public long SnapshotBytesPerSecond { get; init; } = 256L * 1024 * 1024;

    /// <summary>Connections of nodes whose descriptor's number is not below this are closed at once; see docs/operations.md.</summary>
    public int DescriptorsBelow { get; init; } = int.MaxValue;

    /// <summary>A listener that is bound already, so that tests need no fixed ports. The node owns it.</summary>
    internal Socket? BoundListener { get; init; }

    /// <summary>The node takes no part before <see cref="RaftNode.DisksSaid"/> has told it that the disks were asked.</summary>
    public bool AsksDisks { get; init; }

    /// <summary>Bounds of the transport; null for the defaults. For tests.</summary>
    internal Transport.TransportLimits? TransportLimits { get; init; }
}
