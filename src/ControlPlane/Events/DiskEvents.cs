using System.Collections.Immutable;
using RaftMirror.ControlPlane.Model;

namespace RaftMirror.ControlPlane.Events;

/// <summary>No node uses a disk any more. Users may still have I/O to it in their kernels.</summary>
public sealed record DiskLost(
    string Set, string Disk, DiskLossReason Reason, string Detail, string Node, ImmutableArray<DiskUser> Users) : ClusterEvent;

/// <summary>A lost disk is in use again.</summary>
public sealed record DiskReturned(string Set, string Disk, bool IsEverythingOwed, string Why, string Node) : ClusterEvent;

/// <summary>An incarnation has no I/O to a lost disk in its kernel.</summary>
public sealed record DiskIoEnded(string Set, string Disk, string Node, ulong Incarnation, string Why) : ClusterEvent;

/// <summary>A node told which disks it cannot use; the whole list.</summary>
public sealed record DisksReported(
    string Set, string Node, ulong Incarnation, ImmutableArray<DiskComplaint> Disks) : ClusterEvent;

/// <summary>What an offline submirror will be owed; the whole of it, but for what live nodes have marked.</summary>
public sealed record MarksKept(
    string Set, string Volume, string Submirror, bool IsEverything, ImmutableArray<RegionRun> Runs) : ClusterEvent;

/// <summary>Nodes must write a returned submirror again and tell their marks.</summary>
public sealed record LegReturning(
    string Set, string Volume, ulong Barrier, string Submirror, ImmutableArray<NodeIncarnation> Waiting) : ClusterEvent;

/// <summary>A disk is looked for elsewhere. Path and Paths are the whole of it from now on.</summary>
public sealed record DiskPathChanged(
    string Set, string Disk, string Path, ImmutableSortedDictionary<string, string> Paths) : ClusterEvent;

/// <summary>A node's dirty log goes on without one of its disks.</summary>
public sealed record LogDiskLeft(string Set, string Node, string Disk, ulong Generation) : ClusterEvent;
