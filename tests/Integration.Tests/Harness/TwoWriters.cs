using RaftMirror.Integration.Tests.Nbd;
using Xunit;

namespace RaftMirror.Integration.Tests.Harness;

/// <summary>A set of two disks with a mirror SET/v that all nodes write at once, and a client of it on node a and on node b. Each has
/// written, so that both connections stand: a new one would wait for a write that hangs (design §14.9).</summary>
internal sealed class TwoWriters : IAsyncDisposable
{
    private readonly NbdClient _a;
    private readonly NbdClient _b;
    private readonly ulong _since;

    private TwoWriters(NbdClient a, NbdClient b, ulong since) => (_a, _b, _since) = (a, b, since);

    /// <summary>Makes them. Node a's block is at 0, node b's at 8 MiB of 16.</summary>
    /// <param name="cluster">Where.</param>
    /// <param name="set">Name of the set; its disks are SET-d0 and SET-d1.</param>
    /// <param name="content">Of both blocks.</param>
    /// <param name="options">Of <c>set create</c>.</param>
    public static async Task<TwoWriters> StartAsync(TestCluster cluster, string set, byte content = 0, params string[] options)
    {
        await cluster.CreateSetAsync(set, disks: 2, megabytes: 200, options);
        await cluster.CreateMirrorAsync($"{set}/v", "16M", "--writers", "all");
        var block = Enumerable.Repeat(content, 4096).ToArray();
        var a = await NbdClient.ConnectAsync(cluster["a"], $"{set}/v");
        Assert.Equal(0u, await a.WriteAsync(0, block));
        var b = await NbdClient.ConnectAsync(cluster["b"], $"{set}/v");
        Assert.Equal(0u, await b.WriteAsync(8 << 20, block));
        return new TwoWriters(a, b, await cluster.LastEventAsync());
    }

    /// <param name="a">Node a's client.</param>
    /// <param name="b">Node b's.</param>
    /// <param name="since">Index of the last event before the story.</param>
    public void Deconstruct(out NbdClient a, out NbdClient b, out ulong since) => (a, b, since) = (_a, _b, _since);

    public async ValueTask DisposeAsync()
    {
        await _a.DisposeAsync();
        await _b.DisposeAsync();
    }
}
