using System.Buffers.Binary;

namespace RaftMirror.Integration.Tests.Harness;

/// <summary>Makes the wall clocks of single processes wrong, by a library before libc (FaultClock.c). The product is unchanged: whoever asks for
/// the time in that process gets the wrong one.</summary>
internal static class ClockFaults
{
    private static readonly Lazy<Task<string>> Library = new(BuildAsync);

    /// <summary>Options for <see cref="TestCluster"/> that load the library.</summary>
    /// <param name="ahead">By which all clocks are ahead at the start.</param>
    public static async Task<Func<TestCluster, NodeProcess, IEnumerable<string>>> PrepareAsync(TimeSpan ahead = default)
    {
        var library = await Library.Value;
        return (cluster, node) =>
        {
            Set(cluster, node, ahead);
            foreach (var (name, value) in EnvironmentOf(library, FileOf(cluster.Root, node.Name))) node.Environment[name] = value;
            return [];
        };
    }

    /// <summary>Sets how far a node's clock is ahead, or behind, from now on; also of its next process.</summary>
    public static void Set(TestCluster cluster, NodeProcess node, TimeSpan ahead) => Write(FileOf(cluster.Root, node.Name), ahead);

    /// <summary>Runs the command line on a host whose clock is wrong, against all nodes.</summary>
    public static async Task<CliResult> CliAsync(TestCluster cluster, TimeSpan ahead, params string[] arguments)
    {
        var file = FileOf(cluster.Root, "client");
        Write(file, ahead);
        var nodes = string.Join(',', cluster.Nodes.Where(node => node is { IsRunning: true, IsStopped: false }).Select(node => node.Api.ToString()));
        return await TestCluster.RunCliAsync(EnvironmentOf(await Library.Value, file), [.. arguments, "--node", nodes, "-o", "json"]);
    }

    private static Dictionary<string, string> EnvironmentOf(string library, string file) =>
        new() { ["LD_PRELOAD"] = library, ["FAULT_CLOCK_FILE"] = file };

    private static string FileOf(string root, string name) => Path.Combine(root, $"{name}.clock");

    /// <summary>In place: the processes have it mapped.</summary>
    private static void Write(string file, TimeSpan ahead)
    {
        Span<byte> seconds = stackalloc byte[8];
        BinaryPrimitives.WriteInt64LittleEndian(seconds, (long)ahead.TotalSeconds);
        using var stream = new FileStream(file, FileMode.OpenOrCreate, FileAccess.Write, FileShare.ReadWrite);
        stream.Write(seconds);
    }

    private static async Task<string> BuildAsync()
    {
        var library = Path.Combine(AppContext.BaseDirectory, $"faultclock.{Environment.ProcessId}.so");
        var source = Path.Combine(AppContext.BaseDirectory, "Harness", "FaultClock.c");
        await Tool.RunAsync("gcc", TimeSpan.FromSeconds(60), "-shared", "-fPIC", "-O1", "-o", library, source);
        return library;
    }
}
