using System.Net;
using System.Net.Sockets;
using RaftMirror.Cli.CommandLine;
using RaftMirror.Node.Hosting;
using Xunit;

namespace RaftMirror.Cli.Tests;

/// <summary>A node that cannot start says why; that is the operator's to mend, not a bug.</summary>
public sealed class NodeDaemonTests
{
    [Fact]
    public async Task NodeRun_PeerPortTaken_IsRefusedWithTheAddress()
    {
        using var taken = new TcpListener(IPAddress.Loopback, 0);
        taken.Start();
        var peer = $"127.0.0.1:{((IPEndPoint)taken.LocalEndpoint).Port}";

        var error = await StartRefusedAsync(peer, null);

        Assert.Contains(peer, error, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("node.json", "{bad")]
    [InlineData("members.json", "{bad")]
    [InlineData("members.json", "[]")]
    [InlineData("members.json", "")]
    public async Task NodeRun_DamagedFile_IsRefusedWithTheFile(string file, string content)
    {
        var error = await StartRefusedAsync("127.0.0.1:1", (file, content));

        Assert.Contains(file, error, StringComparison.Ordinal);
    }

    private static async Task<string> StartRefusedAsync(string peer, (string Name, string Content)? file)
    {
        var data = Directory.CreateTempSubdirectory("raftmirror-node-").FullName;
        try
        {
            if (file is { } given) await File.WriteAllTextAsync(Path.Combine(data, given.Name), given.Content);
            var (code, output, error) = await CommandLineTests.RunAsync(
                $"node run --name a --data {data} --api 127.0.0.1:0 --peer {peer} --nbd 127.0.0.1:0 --cluster a={peer}", NodeDaemon.RunAsync);
            Assert.Equal(ExitCode.Refused, code);
            Assert.DoesNotContain("bug", error, StringComparison.Ordinal);
            Assert.Contains("cannotStart", error, StringComparison.Ordinal);
            return error + output;
        }
        finally
        {
            Directory.Delete(data, recursive: true);
        }
    }
}
