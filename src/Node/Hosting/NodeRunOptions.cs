using RaftMirror.Consensus.Transport;
using RaftMirror.Contracts;
using RaftMirror.Contracts.Client;

namespace RaftMirror.Node.Hosting;

/// <summary>What <c>node run</c> was asked for, checked: names are valid, addresses are loopback, times make sense.</summary>
internal sealed record NodeRunOptions
{
    public required string Name { get; init; }

    /// <summary>Absolute path; made with mode 0700 if it is missing.</summary>
    public required string DataDirectory { get; init; }

    public required HostPort Api { get; init; }

    public required HostPort Peer { get; init; }

    /// <summary>Certificate, key and authority of the connections between nodes; null for none, on this host only.</summary>
    public PeerTlsOptions? PeerTls { get; init; }

    /// <summary>TCP address of the NBD server.</summary>
    public required HostPort Nbd { get; init; }

    /// <summary>Absolute path of the NBD server's Unix socket; null for none.</summary>
    public string? NbdSocket { get; init; }

    /// <summary>Directories in which disks are looked for by their labels when their paths have changed.</summary>
    public IReadOnlyList<string> DiskDirectories { get; init; } = [DataPlane.Metadata.DiskFinder.DefaultDirectory];

    /// <summary>Peer addresses of the first start by node name, this node included. Node ids are their places in ordinal order of
    /// names, from 1. Later starts ignore it; empty if it was not given.</summary>
    public IReadOnlyDictionary<string, HostPort> Cluster { get; init; } = new Dictionary<string, HostPort>();

    /// <summary>APIs of nodes of a running cluster that this node joins at its first start; later starts ignore it. Empty if it was not given.</summary>
    public IReadOnlyList<NodeAddress> Join { get; init; } = [];

    /// <summary>Name of the cluster at its first start; null for the one that the data directory has, else "raftmirror".</summary>
    public string? ClusterName { get; init; }

    /// <summary>A snapshot each time so many entries were applied; the same on all nodes. For tests.</summary>
    public int? SnapshotEntries { get; init; }

    /// <summary>Length of the replicated log's files. For tests.</summary>
    public long? LogSegmentBytes { get; init; }

    /// <summary>Fault injection: this node's state hash is wrong from this log index on, so that it is found to have diverged; 0 for never.</summary>
    public ulong FaultHashFrom { get; init; }

    /// <summary>Lease of the data plane.</summary>
    public TimeSpan Lease { get; init; } = TimeSpan.FromMilliseconds(2000);

    /// <summary>Longest time that a device takes for a request it was given.</summary>
    public TimeSpan WorstCompletion { get; init; } = TimeSpan.FromMilliseconds(1000);

    /// <summary>Safety margin of the horizon.</summary>
    public TimeSpan Margin { get; init; } = TimeSpan.FromMilliseconds(500);

    /// <summary>Shortest election timeout; the longest is twice that.</summary>
    public TimeSpan Election { get; init; } = TimeSpan.FromMilliseconds(500);

    public TimeSpan Heartbeat { get; init; } = TimeSpan.FromMilliseconds(100);

    /// <summary>Path of the HTTP API's Unix socket.</summary>
    public string ApiSocket => Path.Combine(DataDirectory, ApiNames.SocketName);

    /// <summary>Lease × (1 + 1 % drift) + worst completion + margin.</summary>
    public TimeSpan Horizon => (Lease * 1.01) + WorstCompletion + Margin;
}
