using System.Diagnostics;
using System.Net.Sockets;
using RaftMirror.Integration.Tests.Harness;
using RaftMirror.Integration.Tests.Nbd;
using Xunit;

namespace RaftMirror.Integration.Tests;

/// <summary>The judges are judged: on another server, and on data that was tampered with.</summary>
public sealed class HarnessTests
{
    private const int BlockBytes = 16 << 10;

    [ToolFact("qemu-nbd")]
    public Task Ledger_OfWritesToAnotherServer_FindsThemAll() => WithServerAsync(async client =>
    {
        var ledger = new BlockLedger(1 << 20, 4 << 20, BlockBytes, seed: 5);
        using var stop = new CancellationTokenSource(TimeSpan.FromMilliseconds(500));
        Assert.False(await BlockWriter.BurstAsync(client, ledger, seed: 3, stop.Token));
        Assert.True(ledger.Acknowledged > 0);
        Assert.Equal(0, ledger.Unanswered);
        await ledger.VerifyAsync(client, "here");
    });

    [ToolFact("qemu-nbd")]
    public Task Ledger_LostOrStaleOrTornWrite_IsFound() => WithServerAsync(async client =>
    {
        var ledger = new BlockLedger(0, 1 << 20, BlockBytes, seed: 5);
        await BlockWriter.FillAsync(client, ledger);
        var first = new byte[BlockBytes];
        await client.ReadAsync(0, first);
        await BlockWriter.FillAsync(client, ledger);
        await ledger.VerifyAsync(client, "here");
        var second = new byte[BlockBytes];
        await client.ReadAsync(0, second);

        foreach (var wrong in (byte[][])[new byte[BlockBytes], first, [.. second[..^512], .. first[^512..]]])
        {
            Assert.Equal(0u, await client.WriteAsync(0, wrong));
            await Assert.ThrowsAnyAsync<Xunit.Sdk.XunitException>(() => ledger.VerifyAsync(client, "here"));
        }

        Assert.Equal(0u, await client.WriteAsync(0, second));
        await ledger.VerifyAsync(client, "here");

        // A write without an answer may be there or not, but once read it stays.
        var sent = new byte[BlockBytes];
        ledger.Send(0, sent);
        await ledger.VerifyAsync(client, "not there");
        Assert.Equal(0u, await client.WriteAsync(0, sent));
        await Assert.ThrowsAnyAsync<Xunit.Sdk.XunitException>(() => ledger.VerifyAsync(client, "came later"));
    });

    [Fact]
    public async Task Process_ThatDoesNotEnd_IsKilled() =>
        await Assert.ThrowsAsync<TimeoutException>(() => ProcessResult.RunAsync("sleep", ["60"], TimeSpan.FromMilliseconds(200)));

    private static async Task WithServerAsync(Func<NbdClient, Task> test)
    {
        var directory = Directory.CreateTempSubdirectory("rm-it-");
        var disk = Path.Combine(directory.FullName, "disk");
        var socket = Path.Combine(directory.FullName, "nbd");
        await using (var file = new FileStream(disk, FileMode.CreateNew)) file.SetLength(16 << 20);
        using var server = Process.Start(Tool.Find("qemu-nbd")!, ["-f", "raw", "-t", "-x", "set/v", "-k", socket, disk]);
        try
        {
            await using var client = await Eventually.GetAsync(
                "the server listens", TimeSpan.FromSeconds(20),
                async () => await NbdClient.ConnectAsync(new UnixDomainSocketEndPoint(socket), "set/v"));
            await test(client);
        }
        finally
        {
            server.Kill();
            await server.WaitForExitAsync();
            directory.Delete(recursive: true);
        }
    }
}
