using RaftMirror.Primitives;
using Xunit;

namespace RaftMirror.Integration.Tests.Nbd;

/// <summary>Writes random blocks of a ledger's range with many requests in flight, and notes each answer.</summary>
internal static class BlockWriter
{
    private const int Depth = 16;

    /// <summary>Writes every block once, in order.</summary>
    public static Task FillAsync(NbdClient client, BlockLedger ledger) => RunLanesAsync(async lane =>
    {
        var content = new byte[ledger.BlockBytes];
        for (var block = lane; block < ledger.Blocks; block += Depth) await WriteAsync(client, ledger, block, content);
    });

    /// <summary>Writes random blocks until told to stop, or until the server is gone.</summary>
    /// <returns>True if the server dropped the connection.</returns>
    public static async Task<bool> BurstAsync(NbdClient client, BlockLedger ledger, ulong seed, CancellationToken stop)
    {
        var dropped = false;
        await RunLanesAsync(async lane =>
        {
            // Each block belongs to one lane: at most one write of a block is in flight.
            var random = new Xoshiro(seed + (ulong)lane);
            var content = new byte[ledger.BlockBytes];
            try
            {
                while (!stop.IsCancellationRequested)
                    await WriteAsync(client, ledger, (random.Next((ledger.Blocks - lane + Depth - 1) / Depth) * Depth) + lane, content);
            }
            catch (NbdDisconnectedException)
            {
                dropped = true;
            }
        });
        return dropped;
    }

    private static Task RunLanesAsync(Func<int, Task> lane) =>
        Task.WhenAll(Enumerable.Range(0, Depth).Select(number => Task.Run(() => lane(number))));

    private static async Task WriteAsync(NbdClient client, BlockLedger ledger, int block, byte[] content)
    {
        var version = ledger.Send(block, content);
        var error = await client.WriteAsync(ledger.OffsetOf(block), content);
        Assert.True(error == 0, $"write of block {block}: NBD error {error}");
        ledger.Acknowledge(block, version);
    }
}
