using System.Collections.Immutable;
using RaftMirror.ControlPlane.Model;

namespace RaftMirror.ControlPlane.Commands;

/// <summary>No node uses a disk any more. Submirrors on it go offline with their marks kept, where another one has the data; the last
/// readable one of a volume stays, and its I/O waits.</summary>
/// <param name="Set">Which set.</param>
/// <param name="Disk">Which disk.</param>
/// <param name="Reason">Why; not <see cref="DiskLossReason.None"/>.</param>
/// <param name="Detail">For people, with the errno if there was one.</param>
/// <param name="Node">Who found that all agree.</param>
/// <param name="Incarnation">Its incarnation.</param>
/// <param name="Evidence">Node → incarnation that was asked. All joined nodes that are not suspect must be there.</param>
public sealed record LoseDisk(
    string Set,
    string Disk,
    DiskLossReason Reason,
    string Detail,
    string Node,
    ulong Incarnation,
    ImmutableSortedDictionary<string, ulong> Evidence) : CommandBody
{
    /// <summary>Other disks that are slow at this moment: a submirror there does not count as another one that has the data. So of legs
    /// that are all slow none is lost.</summary>
    public ImmutableArray<string> Slow { get; init; } = [];
}

/// <summary>A lost disk is in use again: its offline submirrors get what they miss.</summary>
/// <param name="Set">Which set.</param>
/// <param name="Disk">Which disk.</param>
/// <param name="IsEverythingOwed">It is not known to be as it was when it was lost, so that everything is copied.</param>
/// <param name="Why">For people: how its content was judged.</param>
/// <param name="Node">Who looked.</param>
/// <param name="Incarnation">Its incarnation.</param>
/// <param name="Evidence">Node → incarnation that sees the disk. All joined nodes that are not suspect must be there.</param>
public sealed record ReturnDisk(
    string Set,
    string Disk,
    bool IsEverythingOwed,
    string Why,
    string Node,
    ulong Incarnation,
    ImmutableSortedDictionary<string, ulong> Evidence) : CommandBody;

/// <summary>A node tells which disks of a set it cannot use; the whole list, whenever it changes. It may not have joined.</summary>
public sealed record ReportDisks(
    string Set, string Node, ulong Incarnation, ImmutableArray<DiskComplaint> Disks) : CommandBody;

/// <summary>No I/O to a lost disk is left in the kernel of an incarnation, and none will begin while the disk is lost. Said by that
/// incarnation or by a later one of the same node that knows it.</summary>
/// <param name="Set">Which set.</param>
/// <param name="Disk">Which disk.</param>
/// <param name="LostAtIndex">The loss that is meant: a report about an earlier one says nothing about this.</param>
/// <param name="User">The incarnation whose I/O has ended.</param>
/// <param name="Node">Who says so.</param>
/// <param name="Incarnation">Its incarnation.</param>
public sealed record ReportDiskIoEnded(
    string Set, string Disk, ulong LostAtIndex, ulong User, string Node, ulong Incarnation) : CommandBody;

/// <summary>Where a disk is to be looked for.</summary>
/// <param name="Set">Which set.</param>
/// <param name="Disk">Which disk.</param>
/// <param name="Path">On nodes that <paramref name="Paths"/> does not name; null leaves what was configured for them.</param>
/// <param name="Paths">By node. With a <paramref name="Path"/> these are all that differ, without they are added to those that do.</param>
/// <param name="Evidence">Node → incarnation that found the disk there.</param>
public sealed record SetDiskPath(
    string Set,
    string Disk,
    string? Path,
    ImmutableSortedDictionary<string, string> Paths,
    ImmutableSortedDictionary<string, ulong> Evidence) : CommandBody
{
    /// <summary>The disk's paths after the command. Pure.</summary>
    public (string Path, ImmutableSortedDictionary<string, string> Paths) Of(DiskState disk) => Path is { } all
        ? (all, Paths)
        : (disk.Path, disk.Paths.SetItems(Paths));

    /// <summary>Members of the set for which the command means another path than before, or names one. Pure.</summary>
    public IEnumerable<string> Concerned(SetState set, DiskState disk)
    {
        var (path, paths) = Of(disk);
        foreach (var node in set.Members.Keys)
        {
            if (Paths.ContainsKey(node) || paths.GetValueOrDefault(node, path) != disk.PathOn(node)) yield return node;
        }
    }
}

/// <summary>A node's dirty log leaves one of its disks, which is slow, and goes on with the other: so that volumes which do not lie on that
/// disk do not wait for it. Proposed by the node itself; nothing happens if the log has no other disk.</summary>
public sealed record LeaveLogDisk(string Set, string Node, ulong Incarnation, ulong SlotGeneration, string Disk) : CommandBody;
