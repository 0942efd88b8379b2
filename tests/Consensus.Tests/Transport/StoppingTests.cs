using System.Collections.Concurrent;
using System.Text;
using RaftMirror.Consensus.Model;
using RaftMirror.Consensus.Tests.Nodes;

namespace RaftMirror.Consensus.Tests.Transport;

/// <summary>A node that stops, perhaps because it was asked to, does not leave those who asked without an answer that it has.</summary>
public sealed class StoppingTests
{
    private static readonly Guid Cluster = Guid.NewGuid();

    [Fact]
    public async Task Stop_RequestIsBeingAnswered_TheAnswerLeavesFirst()
    {
        await using var asker = new Station(1, Cluster);
        await using var stopping = new Station(2, Cluster);
        var isDone = new TaskCompletionSource();
        var answer = await AskAsync(asker, stopping, async _ =>
        {
            await isDone.Task;
            return "done"u8.ToArray();
        });
        var stop = stopping.DisposeAsync().AsTask();
        isDone.SetResult();
        Assert.Equal("done", Encoding.UTF8.GetString((await answer.WaitAsync(LocalCluster.Patience)).Span));
        await stop.WaitAsync(LocalCluster.Patience);
    }

    [Fact]
    public async Task Stop_RequestWouldTakeLong_IsAnsweredThatTheNodeStops()
    {
        await using var asker = new Station(1, Cluster);
        await using var stopping = new Station(2, Cluster);
        var answer = await AskAsync(asker, stopping, async token =>
        {
            await Task.Delay(Timeout.Infinite, token);
            return default;
        });
        await stopping.DisposeAsync().AsTask().WaitAsync(LocalCluster.Patience);
        var lost = await Assert.ThrowsAsync<PeerUnreachableException>(() => answer.WaitAsync(LocalCluster.Patience));
        Assert.Contains("stopping", lost.Message, StringComparison.Ordinal);
    }

    /// <summary>A handler that heeds nothing does not keep its caller.</summary>
    [Fact]
    public async Task Stop_HandlerDoesNotReturn_ItsCallerIsLetGo()
    {
        await using var asker = new Station(1, Cluster);
        await using var stopping = new Station(2, Cluster);
        var never = new TaskCompletionSource();
        var answer = await AskAsync(asker, stopping, async _ =>
        {
            await never.Task;
            return default;
        });
        var stop = stopping.DisposeAsync().AsTask();
        await Assert.ThrowsAsync<PeerUnreachableException>(() => answer.WaitAsync(LocalCluster.Patience));
        never.SetResult();
        await stop.WaitAsync(LocalCluster.Patience);
    }

    [Fact]
    public async Task Connection_BeginsAndEnds_IsTold()
    {
        var told = new ConcurrentQueue<(NodeId Peer, bool IsConnected)>();
        await using var first = new Station(1, Cluster);
        var second = new Station(2, Cluster);
        first.Transport.RaftConnected += (peer, isConnected) => told.Enqueue((peer, isConnected));
        second.Knows(first);
        first.Knows(second);
        await Eventually.IsTrueAsync(() => told.Contains((second.Id, true)), "the connection is told");
        await second.DisposeAsync();
        await Eventually.IsTrueAsync(() => told.Contains((second.Id, false)), "its end is told");
        Assert.Equal([true, false], told.Take(2).Select(pair => pair.IsConnected));
    }

    /// <summary>Asks something of a node that will stop.</summary>
    /// <returns>What becomes of the request, once the other side is at work on it.</returns>
    private static async Task<Task<ReadOnlyMemory<byte>>> AskAsync(
        Station asker, Station stopping, Func<CancellationToken, ValueTask<ReadOnlyMemory<byte>>> work)
    {
        asker.Knows(stopping);
        stopping.Knows(asker);
        var begun = new TaskCompletionSource();
        stopping.Transport.Handle("work", (_, _, token) =>
        {
            begun.SetResult();
            return work(token);
        });
        var answer = asker.Transport.CallAsync(stopping.Id, "work", "now"u8.ToArray(), CancellationToken.None).AsTask();
        await begun.Task.WaitAsync(LocalCluster.Patience);
        return answer;
    }
}
