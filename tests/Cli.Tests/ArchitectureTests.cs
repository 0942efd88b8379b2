using System.Reflection;
using System.Text.RegularExpressions;
using Xunit;

namespace RaftMirror.Cli.Tests;

/// <summary>Cores decide, shells act: enforced. The banned-API analyzer makes a forbidden call in a core folder a build error; these tests
/// show that the analyzer is armed there, that no core folder is left out, and that references go one way.</summary>
public sealed class ArchitectureTests
{
    private static readonly string Root = FindRoot();

    /// <summary>Folders whose code runs unchanged in the simulator.</summary>
    private static readonly string[] CoreFolders =
    [
        "src/Consensus/Core",
        "src/Consensus/Messages",
        "src/ControlPlane/Model",
        "src/ControlPlane/Commands",
        "src/ControlPlane/Clocks",
        "src/ControlPlane/Events",
        "src/ControlPlane/Leases",
        "src/ControlPlane/Snapshots",
        "src/DataPlane/DiskIo/Core",
        "src/DataPlane/Mirroring/Core",
        "src/DataPlane/Resync/Core",
        "src/DataPlane/DirtyRegions/Core",
        "src/DataPlane/Leases/Core",
        "src/DataPlane/Nbd/Protocol",
    ];

    // What the banned-API list means, in words that a look at the source finds.
    private static readonly Regex Forbidden = new(
        @"\b(DateTime(Offset)?\.(Utc)?Now|TimeProvider|Stopwatch|Environment\.TickCount|System\.Random|new Random|Guid\.(NewGuid|CreateVersion7)"
        + @"|async |await |ValueTask|TaskCompletionSource|\bTask\.|Thread\b|ThreadPool|\block\s*\(|SemaphoreSlim|File\.|FileStream|RandomAccess\."
        + @"|SafeFileHandle|Socket\b|HttpClient|Console\.)",
        RegexOptions.Compiled);

    public static TheoryData<string> Cores => [.. CoreFolders];

    [Theory]
    [MemberData(nameof(Cores))]
    public void CoreFolder_AnySource_UsesNoClockTaskFileSocketOrUnseededRandom(string folder)
    {
        var files = Directory.GetFiles(Path.Combine(Root, folder), "*.cs", SearchOption.AllDirectories);
        Assert.NotEmpty(files);
        foreach (var file in files)
        {
            var number = 0;
            foreach (var line in File.ReadLines(file))
            {
                number++;
                var code = line.Split("//")[0];
                Assert.False(Forbidden.IsMatch(code), $"{Path.GetRelativePath(Root, file)}:{number} is in a core: {line.Trim()}");
            }
        }
    }

    [Theory]
    [MemberData(nameof(Cores))]
    public void CoreFolder_InEditorConfig_MakesBannedApisAnError(string folder)
    {
        var sections = File.ReadAllText(Path.Combine(Root, ".editorconfig")).Split("\n[").Skip(1)
            .Where(section => section.Contains("dotnet_diagnostic.RS0030.severity = error", StringComparison.Ordinal))
            .Select(section => section[..section.IndexOf(']', StringComparison.Ordinal)]);
        Assert.Contains(sections, pattern => Matches(pattern, $"{folder}/Any.cs"));
    }

    [Fact]
    public void CoreFolders_OnDisk_AreAllListed()
    {
        var onDisk = Directory.GetDirectories(Path.Combine(Root, "src"), "Core", SearchOption.AllDirectories)
            .Select(path => Path.GetRelativePath(Root, path).Replace('\\', '/'))
            .Where(path => !path.Contains("/obj/", StringComparison.Ordinal) && !path.Contains("/bin/", StringComparison.Ordinal));
        foreach (var folder in onDisk) Assert.Contains(folder, CoreFolders);
    }

    [Fact] // A log message is looked up, and alarmed on, by its id.
    public void LogMessages_InAllSources_HaveIdsOfTheirOwn()
    {
        var ids = Directory.GetFiles(Path.Combine(Root, "src"), "*.cs", SearchOption.AllDirectories)
            .SelectMany(static file => Regex.Matches(File.ReadAllText(file), @"\[LoggerMessage\((?<id>\d+),").Select(static match => match.Groups["id"].Value))
            .ToList();
        Assert.NotEmpty(ids);
        Assert.Empty(ids.GroupBy(static id => id).Where(static same => same.Count() > 1).Select(static same => same.Key));
    }

    [Theory]
    [InlineData(typeof(Consensus.IReplicatedLog), new[] { "RaftMirror.Primitives" })]
    [InlineData(typeof(ControlPlane.ControlPlaneMachine), new[] { "RaftMirror.Primitives", "RaftMirror.Consensus" })]
    [InlineData(typeof(DataPlane.Mirroring.DataPlaneSet), new[] { "RaftMirror.Primitives" })]
    public void Assembly_References_GoOneWay(Type member, string[] allowed)
    {
        var own = member.Assembly.GetReferencedAssemblies().Select(name => name.Name!)
            .Where(name => name.StartsWith("RaftMirror", StringComparison.Ordinal) || name == "raftmirror");
        Assert.All(own, name => Assert.Contains(name, allowed));
    }

    [Theory]
    [InlineData("src/DataPlane/Devices", "DataPlane.Nbd")] // Devices never see an NBD type,
    [InlineData("src/DataPlane/Nbd/Protocol", "DataPlane.Devices")] // the codec never sees a device,
    [InlineData("src/DataPlane/Mirroring/Core", "DataPlane.Metadata")] // and cores never see what is on disks.
    public void Folder_Source_DoesNotKnow(string folder, string unknown)
    {
        foreach (var file in Directory.GetFiles(Path.Combine(Root, folder), "*.cs", SearchOption.AllDirectories))
            Assert.DoesNotContain($"using RaftMirror.{unknown}", File.ReadAllText(file), StringComparison.Ordinal);
    }

    private static bool Matches(string pattern, string path)
    {
        var regex = Regex.Escape(pattern).Replace(@"\*\*", ".*", StringComparison.Ordinal).Replace(@"\{", "(", StringComparison.Ordinal)
            .Replace("}", ")", StringComparison.Ordinal).Replace(",", "|", StringComparison.Ordinal);
        return Regex.IsMatch(path, $"^{regex}$");
    }

    private static string FindRoot()
    {
        var folder = new DirectoryInfo(Path.GetDirectoryName(Assembly.GetExecutingAssembly().Location)!);
        while (folder is not null && !File.Exists(Path.Combine(folder.FullName, "Raft.Mirror.sln"))) folder = folder.Parent;
        return folder?.FullName ?? throw new InvalidOperationException("The tests run inside the checkout.");
    }
}
