namespace RaftMirror.Integration.Tests.Harness;

/// <summary>Makes the disks of single nodes fail or hang, by a library that stands in for libc in their processes (FaultDisk.c). The
/// product is unchanged: the calls that it makes fail, as they would on broken hardware.</summary>
internal sealed class DiskFaults
{
    private static readonly Lazy<Task<string>> Library = new(BuildAsync);
    private readonly string _root;

    private DiskFaults(string root) => _root = root;

    /// <summary>Options for <see cref="TestCluster"/> that load the library; rules are set afterwards.</summary>
    public static async Task<Func<TestCluster, NodeProcess, IEnumerable<string>>> PrepareAsync()
    {
        var directory = await Library.Value;
        return (cluster, node) =>
        {
            node.Environment["LD_LIBRARY_PATH"] = directory;
            node.Environment["FAULT_DISK_RULES"] = RulesOf(cluster.Root, node);
            return [];
        };
    }

    /// <summary>The faults of a cluster that was started with them.</summary>
    public static DiskFaults Of(TestCluster cluster) => new(cluster.Root);

    /// <summary>Calls on the disk fail with an errno, on these nodes.</summary>
    public void Fail(string disk, string operations, int errno, params IEnumerable<NodeProcess> nodes) =>
        Set(nodes, $"{disk} {operations} {errno} 0 before");

    /// <summary>As <see cref="Fail"/>, of calls from an offset on.</summary>
    public void FailFrom(string disk, string operations, int errno, long offset, params IEnumerable<NodeProcess> nodes) =>
        Set(nodes, $"{disk} {operations} {errno} 0 before {offset}");

    /// <summary>Calls on the disk wait before they reach it, on these nodes, until the fault ends; then they land.</summary>
    public void Hang(string disk, string operations, params IEnumerable<NodeProcess> nodes) =>
        Set(nodes, $"{disk} {operations} 0 -1 before");

    /// <summary>A write of the label's head copy lands and does not come back, on these nodes, until the fault ends. All else works.</summary>
    public void HoldHeadLabel(string disk, params IEnumerable<NodeProcess> nodes) =>
        Set(nodes, $"{disk} w 0 -1 after 0 0");

    /// <summary>Ends the faults of these nodes.</summary>
    public void End(params IEnumerable<NodeProcess> nodes) => Set(nodes, "");

    /// <summary>How many calls a fault has met on a node so far.</summary>
    public int Hits(NodeProcess node)
    {
        var path = RulesOf(_root, node) + ".hits";
        return File.Exists(path) ? File.ReadAllLines(path).Length : 0;
    }

    private void Set(IEnumerable<NodeProcess> nodes, string rule)
    {
        foreach (var node in nodes)
        {
            var path = RulesOf(_root, node);
            File.WriteAllText(path + ".new", rule + "\n");
            File.Move(path + ".new", path, overwrite: true);
        }
    }

    private static string RulesOf(string root, NodeProcess node) => Path.Combine(root, $"{node.Name}.faults");

    private static async Task<string> BuildAsync()
    {
        var directory = Path.Combine(AppContext.BaseDirectory, "faultdisk");
        Directory.CreateDirectory(directory);
        var library = Path.Combine(directory, $"libc.so.{Environment.ProcessId}");
        var source = Path.Combine(AppContext.BaseDirectory, "Harness", "FaultDisk.c");
        await Tool.RunAsync("gcc", TimeSpan.FromSeconds(60), "-shared", "-fPIC", "-O1", "-o", library, source, "-ldl");
        File.Move(library, Path.Combine(directory, "libc.so"), overwrite: true);
        return directory;
    }
}
