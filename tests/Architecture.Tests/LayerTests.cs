using ArchUnitNET.Fluent.Slices;
using ArchUnitNET.Loader;
using Xunit;
using Assembly = System.Reflection.Assembly;

namespace RaftMirror.Architecture.Tests;

/// <summary>References go one way: between the projects, and between the folders of each. Read from the compiled code, bodies of methods
/// included.</summary>
public sealed class LayerTests
{
    internal static readonly Assembly[] Projects =
    [
        typeof(Primitives.Invariant).Assembly,
        typeof(Consensus.IReplicatedLog).Assembly,
        typeof(ControlPlane.ControlPlaneMachine).Assembly,
        typeof(DataPlane.Exports.IExport).Assembly,
        Assembly.Load("RaftMirror.Contracts"),
        Assembly.Load("RaftMirror.Node"),
        Assembly.Load("raftmirror"),
    ];

    [Theory]
    [InlineData("RaftMirror.Primitives")]
    [InlineData("RaftMirror.Consensus", "RaftMirror.Primitives")]
    [InlineData("RaftMirror.ControlPlane", "RaftMirror.Primitives", "RaftMirror.Consensus")]
    [InlineData("RaftMirror.DataPlane", "RaftMirror.Primitives")]
    [InlineData("RaftMirror.Contracts", "RaftMirror.Primitives")]
    [InlineData(
        "RaftMirror.Node",
        "RaftMirror.Primitives", "RaftMirror.Consensus", "RaftMirror.ControlPlane", "RaftMirror.DataPlane", "RaftMirror.Contracts")]
    // The one program is both: its verb "node run" starts the daemon, its verbs on a stopped node's directory read its log.
    [InlineData("raftmirror", "RaftMirror.Primitives", "RaftMirror.Contracts", "RaftMirror.Node", "RaftMirror.Consensus")]
    public void Project_References_GoOneWay(string project, params string[] allowed)
    {
        var own = Projects.Single(assembly => assembly.GetName().Name == project).GetReferencedAssemblies().Select(static name => name.Name!)
            .Where(static name => name.StartsWith("RaftMirror", StringComparison.Ordinal) || name == "raftmirror");
        Assert.All(own, name => Assert.Contains(name, allowed));
    }

    [Fact] // Kestrel is the daemon's; whoever only asks it needs no server.
    public void Contracts_NeitherServerNorEngine()
    {
        var names = Projects.Single(static assembly => assembly.GetName().Name == "RaftMirror.Contracts").GetReferencedAssemblies();
        Assert.DoesNotContain(names, static name => name.Name!.StartsWith("Microsoft.AspNetCore", StringComparison.Ordinal));
    }

    [Fact]
    public void Folders_OfTheProduct_HaveNoCycle()
    {
        var product = new ArchLoader().LoadAssemblies(Projects).Build();
        Assert.True(SliceRuleDefinition.Slices().Matching("RaftMirror.(**)").GetObjects(product).Count() > 40);
        Assert.Empty(Cycles(product, "RaftMirror.(**)"));
    }

    [Fact] // The rule above can fail: two folders made for it know each other.
    public void Folders_ThatKnowEachOther_AreFound()
    {
        var own = new ArchLoader().LoadAssemblies(typeof(LayerTests).Assembly).Build();
        Assert.NotEmpty(Cycles(own, "RaftMirror.Architecture.Tests.Samples.(**)"));
    }

    [Fact] // A namespace says in which folder to look.
    public void File_InSource_HasTheNamespaceOfItsFolder()
    {
        var count = 0;
        foreach (var path in SourceTree.Files("src"))
        {
            if (SourceTree.Read(path).Split('\n').FirstOrDefault(static line => line.StartsWith("namespace ", StringComparison.Ordinal)) is not { } line)
                continue;
            count++;
            Assert.Equal($"{path}: namespace RaftMirror.{Path.GetDirectoryName(path)!["src/".Length..].Replace('/', '.')};", $"{path}: {line}");
        }

        Assert.True(count > 300);
    }

    [Theory]
    [InlineData("src/DataPlane/Devices", "DataPlane.Nbd")] // Devices never see an NBD type,
    [InlineData("src/DataPlane/Nbd/Protocol", "DataPlane.Devices")] // the codec never sees a device,
    [InlineData("src/DataPlane/Mirroring", "DataPlane.Nbd")] // mirrors do not know who asks,
    [InlineData("src/DataPlane/Mirroring/Core", "DataPlane.Metadata")] // and cores never see what is on disks.
    [InlineData("src/Cli/CommandLine", "Node")] // What people read and type depends on what a node answers, not on what it is.
    [InlineData("src/Cli/Demo", "Node")]
    [InlineData("src/Cli/Rendering", "Node")]
    public void Folder_Source_DoesNotKnow(string folder, string unknown)
    {
        var files = SourceTree.Files(folder).ToList();
        Assert.NotEmpty(files);
        foreach (var file in files) Assert.DoesNotContain($"using RaftMirror.{unknown}", SourceTree.Read(file), StringComparison.Ordinal);
    }

    private static List<string> Cycles(ArchUnitNET.Domain.Architecture architecture, string slices) =>
    [
        .. SliceRuleDefinition.Slices().Matching(slices).Should().BeFreeOfCycles().Evaluate(architecture)
            .Where(static result => !result.Passed).Select(static result => result.Description),
    ];
}
