namespace RaftMirror.DataPlane.DiskIo;

/// <summary>The ports of this process that may have a call in the kernel, by node and disk, of whichever data plane and incarnation: one that has
/// ended leaves a call that hangs behind, and its successor must not say that none is left (design §14.20). Any thread.</summary>
internal static class LivingPorts
{
    private static readonly Lock Gate = new();
    private static readonly Dictionary<(string Node, Guid Disk), List<DiskPort>> Ports = [];

    /// <summary>Counts a port until it is closed and its last call has come back.</summary>
    public static void Add(string node, Guid disk, DiskPort port)
    {
        lock (Gate)
        {
            if (!Ports.TryGetValue((node, disk), out var list)) Ports[(node, disk)] = list = [];
            list.Add(port);
        }

        _ = port.Closed.ContinueWith(
            _ => Forget(node, disk, port), CancellationToken.None, TaskContinuationOptions.None, TaskScheduler.Default);
    }

    /// <summary>True if a call may be left.</summary>
    public static bool Any(string node, Guid disk)
    {
        lock (Gate) return Ports.TryGetValue((node, disk), out var list) && list.Exists(static port => !port.Closed.IsCompleted);
    }

    private static void Forget(string node, Guid disk, DiskPort port)
    {
        lock (Gate)
        {
            if (!Ports.TryGetValue((node, disk), out var list)) return;
            list.Remove(port);
            if (list.Count == 0) Ports.Remove((node, disk));
        }
    }
}
