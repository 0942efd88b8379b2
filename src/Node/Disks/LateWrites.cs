using System.Collections.Concurrent;
using RaftMirror.ControlPlane.Model;

namespace RaftMirror.Node.Disks;

/// <summary>Writes to disks' metadata (labels, proofs) that are in the kernel or about to be, of all incarnations of this process: one that hangs is
/// waited for by nobody, and may still land (design §14.20). Those to volumes are counted by the disk's port. Any thread.</summary>
internal static class LateWrites
{
    private static readonly TimeSpan LookAgain = TimeSpan.FromMilliseconds(20);
    private static readonly ConcurrentDictionary<(string Node, Guid Disk), int> Counts = new();

    /// <summary>A write is about to begin.</summary>
    public static void Begin(string node, Guid disk) => Counts.AddOrUpdate((node, disk), 1, static (_, count) => count + 1);

    /// <summary>It has come back.</summary>
    public static void End(string node, Guid disk) => Counts.AddOrUpdate((node, disk), 0, static (_, count) => count - 1);

    /// <summary>True if some has not come back.</summary>
    public static bool Any(string node, Guid disk) => Counts.GetValueOrDefault((node, disk)) > 0;

    /// <summary>Waits until none is left to the disks of a set: whoever leaves it asserts that nothing of it can land any more.</summary>
    /// <returns>The first disk to which some has not come back in time; null if none is left.</returns>
    public static async Task<string?> WaitAsync(string node, SetState? set, TimeSpan limit, CancellationToken cancellationToken)
    {
        var disks = set?.Disks.Values.ToList() ?? [];
        for (var until = Environment.TickCount64 + limit.TotalMilliseconds; ; await Task.Delay(LookAgain, cancellationToken))
        {
            if (disks.Find(disk => Any(node, disk.Id)) is not { } late) return null;
            if (Environment.TickCount64 >= until) return late.Name;
        }
    }
}
