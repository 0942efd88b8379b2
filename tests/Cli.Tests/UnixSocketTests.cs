using RaftMirror.Contracts;
using Xunit;

namespace RaftMirror.Cli.Tests;

/// <summary>The command line through a node's Unix socket.</summary>
public sealed class UnixSocketTests
{
    [Fact]
    public async Task UnixSocket_IsPrivateAndServes()
    {
        var folder = Directory.CreateTempSubdirectory("rm-api-");
        try
        {
            var path = Path.Combine(folder.FullName, ApiNames.SocketName);
            await using (var server = await new FakeNode("a").ServeAsync(path))
            {
                if (!OperatingSystem.IsWindows()) Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite, File.GetUnixFileMode(path));
                var (code, output, _) = await CommandLineTests.RunAsync($"status -c --node unix:{path}");
                Assert.Equal(0, (int)code);
                Assert.StartsWith("demo/d10 mirror Okay 128.0M a@4", output, StringComparison.Ordinal);
            }

            Assert.False(File.Exists(path));
        }
        finally
        {
            folder.Delete(recursive: true);
        }
    }
}
