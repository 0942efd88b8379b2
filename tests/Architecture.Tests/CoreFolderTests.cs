using System.Text.RegularExpressions;
using Xunit;

namespace RaftMirror.Architecture.Tests;

/// <summary>Cores decide, shells act: enforced. The banned-API analyzer makes a forbidden call in a core folder a build error; these tests
/// show that the analyzer is armed there and that no core folder is left out.</summary>
public sealed class CoreFolderTests
{
    /// <summary>Folders whose code runs unchanged in the simulator.</summary>
    private static readonly string[] CoreFolders =
    [
        "src/Consensus/Model",
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
        var files = SourceTree.Files(folder).ToList();
        Assert.NotEmpty(files);
        foreach (var file in files)
        {
            var number = 0;
            foreach (var line in SourceTree.Read(file).Split('\n'))
            {
                number++;
                var code = line.Split("//")[0];
                Assert.False(Forbidden.IsMatch(code), $"{file}:{number} is in a core: {line.Trim()}");
            }
        }
    }

    [Theory]
    [MemberData(nameof(Cores))]
    public void CoreFolder_InEditorConfig_MakesBannedApisAnError(string folder)
    {
        var sections = SourceTree.Read(".editorconfig").Split("\n[").Skip(1)
            .Where(section => section.Contains("dotnet_diagnostic.RS0030.severity = error", StringComparison.Ordinal))
            .Select(section => section[..section.IndexOf(']', StringComparison.Ordinal)]);
        Assert.Contains(sections, pattern => Matches(pattern, $"{folder}/Any.cs"));
    }

    [Fact]
    public void CoreFolders_OnDisk_AreAllListed()
    {
        var onDisk = SourceTree.Files("src").Select(static path => Path.GetDirectoryName(path)!)
            .Where(static folder => folder.EndsWith("/Core", StringComparison.Ordinal)).Distinct().ToList();
        Assert.NotEmpty(onDisk);
        foreach (var folder in onDisk) Assert.Contains(folder, CoreFolders);
    }

    private static bool Matches(string pattern, string path)
    {
        var regex = Regex.Escape(pattern).Replace(@"\*\*", ".*", StringComparison.Ordinal).Replace(@"\{", "(", StringComparison.Ordinal)
            .Replace("}", ")", StringComparison.Ordinal).Replace(",", "|", StringComparison.Ordinal);
        return Regex.IsMatch(path, $"^{regex}$");
    }
}
