using RaftMirror.Integration.Tests.Harness;
using RaftMirror.Integration.Tests.Nbd;
using Xunit;
using Xunit.Abstractions;

namespace RaftMirror.Integration.Tests;

/// <summary>The owner stands still for longer than its lease, and does not know.</summary>
public sealed class LostContactTests(ITestOutputHelper output)
{
    private const long VolumeBytes = 64 << 20;
    private const int Outstanding = 16;
    private static readonly TimeSpan Limit = TimeSpan.FromSeconds(60);

    [ToolFact("cmp")]
    public Task Owner_StoppedPastItsLease_DropsItsClientsAndAcknowledgesNothing() => TestCluster.RunAsync(output, async cluster =>
    {
        var (a, b, c) = (cluster["a"], cluster["b"], cluster["c"]);
        await cluster.CreateSetAsync("lost", disks: 2, megabytes: 256);
        await cluster.CreateMirrorAsync("lost/v", "64M");
        var ledger = new BlockLedger(0, 16 << 20, 16 << 10, seed: 0x105E);
        await using var client = await NbdClient.ConnectAsync(a, "lost/v");
        await BlockWriter.FillAsync(client, ledger);
        Assert.Equal("a", await cluster.OwnerAsync(b, "lost/v"));

        // These reach a's socket, but a itself only when it runs again: long after its lease.
        a.Pause();
        var content = new byte[ledger.BlockBytes];
        var unanswered = new List<Task<uint>>();
        for (var block = 0; block < Outstanding; block++)
        {
            ledger.Send(block, content);
            unanswered.Add(client.WriteAsync(ledger.OffsetOf(block), content.ToArray()));
        }

        await using var other = await NbdClient.ConnectAsync(b, "lost/v");
        await ledger.VerifyAsync(other, "through b while a is stopped");
        Assert.Equal(0, ledger.Unanswered);
        await BlockWriter.FillAsync(other, ledger);
        Assert.Equal("b", await cluster.OwnerAsync(c, "lost/v"));
        var events = await cluster.EventsAsync();
        Assert.Contains(events, item => (string?)item["type"] == "NodeFenced" && (string?)item["node"] == "a" && item["receipt"] is not null);
        Assert.False(client.Disconnected.IsCompleted);
        Assert.All(unanswered, static write => Assert.False(write.IsCompleted, "a stopped process answered: it had not stopped"));

        a.Continue();
        await client.Disconnected.WaitAsync(Limit);
        foreach (var write in unanswered)
        {
            var failure = await Record.ExceptionAsync(() => write);
            Assert.True(failure is NbdDisconnectedException, $"a write past the lease was answered: {failure?.ToString() ?? $"error {await write}"}");
        }

        await ledger.VerifyAsync(other, "through b after a ran again");
        await using (var reader = await NbdClient.ConnectAsync(c, "lost/v")) await ledger.VerifyAsync(reader, "through c after a ran again");

        // It comes back as a new incarnation, by itself or started again, and serves what the others wrote.
        await Eventually.TrueAsync("a serves again", Limit, async () =>
        {
            if (!a.IsRunning) await cluster.RestartAsync(a);
            await cluster.WaitUntilHealthyAsync("lost/v");
            return true;
        });
        await using (var reader = await NbdClient.ConnectAsync(a, "lost/v")) await ledger.VerifyAsync(reader, "through a itself");
        await Legs.AssertIdenticalAsync(cluster, "lost/v", VolumeBytes);
    });
}
