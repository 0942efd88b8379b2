namespace RaftMirror.Consensus.Tests;

/// <summary>Tables and histories that others made. They lie beside the checkout (../shared/data) or where
/// RAFTMIRROR_TESTDATA says, and are not part of the repository.</summary>
internal static class TestData
{
    /// <summary>The folder, or null if it is not there.</summary>
    /// <param name="name">The subfolder: linearizability or etcd-raft.</param>
    public static string? Find(string name)
    {
        if (Environment.GetEnvironmentVariable("RAFTMIRROR_TESTDATA") is { Length: > 0 } given)
        {
            return Existing(Path.Combine(given, name));
        }

        var folder = new DirectoryInfo(AppContext.BaseDirectory);
        while (folder is not null && !File.Exists(Path.Combine(folder.FullName, "Raft.Mirror.sln"))) folder = folder.Parent;
        return folder?.Parent is { } beside ? Existing(Path.Combine(beside.FullName, "shared", "data", name)) : null;
    }

    /// <summary>The folder; its absence fails the test.</summary>
    public static string Require(string name) =>
        Find(name) ?? throw new DirectoryNotFoundException($"No test data '{name}': set RAFTMIRROR_TESTDATA.");

    private static string? Existing(string folder) => Directory.Exists(folder) ? folder : null;
}

/// <summary>A test on data of others; skipped with the reason where they are missing, unless RAFTMIRROR_REQUIRE_TOOLS=1 says
/// that all is there.</summary>
[AttributeUsage(AttributeTargets.Method)]
public sealed class DataFactAttribute : FactAttribute
{
    public DataFactAttribute(string name)
    {
        Name = name;
        if (Environment.GetEnvironmentVariable("RAFTMIRROR_REQUIRE_TOOLS") == "1" || TestData.Find(name) is not null) return;
        Skip = $"no test data '{name}' beside the checkout (../shared/data) nor in RAFTMIRROR_TESTDATA";
    }

    public string Name { get; }
}
