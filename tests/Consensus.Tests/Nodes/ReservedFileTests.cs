using System.Text;
using RaftMirror.Consensus.Node;
using RaftMirror.Primitives;

namespace RaftMirror.Consensus.Tests.Nodes;

/// <summary>A file that is written anew without new space (design §14.22).</summary>
public sealed class ReservedFileTests : IDisposable
{
    private readonly string _directory = Directory.CreateTempSubdirectory("rm-reserved-").FullName;

    private string Target => Path.Combine(_directory, "node.json");

    private string Next => Target + ReservedFile.Suffix;

    public void Dispose() => Directory.Delete(_directory, recursive: true);

    [Fact] // Whatever takes new space finds none on a full file system: so it is always the same two files.
    public void Write_Again_UsesTheSameTwoFilesInTurn()
    {
        ReservedFile.Write(Target, "1"u8);
        var (first, second) = (FileIdentity.Of(Target), FileIdentity.Of(Next));
        Assert.NotNull(second);
        for (var version = 2; version < 6; version++)
        {
            ReservedFile.Write(Target, Encoding.UTF8.GetBytes(version.ToString()));
            (first, second) = (second, first);
            Assert.Equal((first, second), (FileIdentity.Of(Target), FileIdentity.Of(Next)));
            Assert.Equal(version.ToString(), File.ReadAllText(Target).TrimEnd());
            Assert.Equal((4096L, 4096L), (new FileInfo(Target).Length, new FileInfo(Next).Length));
        }
    }

    [Fact] // What a crash left of a next version means nothing, however long it is.
    public void Write_RubbishInTheReserve_IsOverwritten()
    {
        ReservedFile.Write(Target, "old"u8);
        File.WriteAllBytes(Next, Enumerable.Repeat((byte)'{', 3 * 4096).ToArray());
        ReservedFile.Write(Target, "new"u8);
        Assert.Equal("new", File.ReadAllText(Target).TrimEnd());
        Assert.Equal(4096, new FileInfo(Target).Length);
    }

    [Fact] // A directory of an earlier version has no reserve; a file may outgrow its own.
    public void Write_ReserveIsMissingOrTooSmall_IsMadeForTheNextTime()
    {
        File.WriteAllText(Target, "as it was before");
        ReservedFile.Write(Target, "1"u8);
        Assert.Equal(4096, new FileInfo(Next).Length);
        var content = new string('x', 5000);
        ReservedFile.Write(Target, Encoding.UTF8.GetBytes(content));
        Assert.Equal(content, File.ReadAllText(Target).TrimEnd());
        Assert.Equal(8192, new FileInfo(Next).Length);
    }
}
