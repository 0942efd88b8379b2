using RaftMirror.DataPlane.Nbd.Server;
using Xunit;

namespace RaftMirror.DataPlane.Tests.Nbd;

/// <summary>Memory that all connections share beyond their own parts.</summary>
public sealed class SharedCreditTests
{
    [Fact] // Beyond its own share a connection takes of what all have; who waits is served in order, large ones too.
    public void SharedCredit_UsedUp_ServesInOrder()
    {
        var shared = new SharedCredit(100);
        var (a, b, c) = (Gate(shared), Gate(shared), Gate(shared));
        Assert.True(a.TryTake(10, out var isShared));
        Assert.False(isShared);
        Assert.True(a.TryTake(60, out isShared));
        Assert.True(isShared);
        Assert.False(b.TryTake(50, out _)); // In line from here on.
        Assert.False(c.TryTake(30, out _)); // It would fit, and may not pass.
        Assert.True(c.TryTake(10, out isShared), "what is its own is not in line");
        Assert.False(isShared);
        a.Return(10, 60, 2);
        Assert.True(b.TryTake(50, out _));
        Assert.True(c.TryTake(30, out _));
        Assert.Equal(80, shared.Used);
        Assert.False(a.TryTake(50, out _));
        shared.Leave(a);
        Assert.Equal(0, shared.Waiting);
    }

    [Fact] // A connection that is dropped while it waits leaves the line.
    public async Task Take_GivenUp_LeavesTheLine()
    {
        var shared = new SharedCredit(50);
        var (a, b) = (Gate(shared), Gate(shared));
        Assert.True(a.TryTake(50, out _));
        var isDropped = false;
        var waiting = Task.Run(() => b.Take(40, () => Volatile.Read(ref isDropped), out _));
        await Eventually(() => shared.Waiting == 1);
        Volatile.Write(ref isDropped, true);
        b.Wake();
        Assert.False(await waiting.WaitAsync(TimeSpan.FromSeconds(20)));
        Assert.Equal(0, shared.Waiting);
    }

    private static CreditGate Gate(SharedCredit shared) => new(maxBytes: 1000, maxRequests: 10, ownBytes: 10, shared);

    private static async Task Eventually(Func<bool> condition)
    {
        var deadline = Environment.TickCount64 + 30_000;
        using var timer = new PeriodicTimer(TimeSpan.FromMilliseconds(5));
        while (!condition())
        {
            Assert.True(Environment.TickCount64 < deadline, "It never came about.");
            await timer.WaitForNextTickAsync();
        }
    }
}
