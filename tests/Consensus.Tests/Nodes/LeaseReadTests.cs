using RaftMirror.Consensus.Model;
using RaftMirror.Consensus.Tests.Conformance;

namespace RaftMirror.Consensus.Tests.Nodes;

/// <summary>A lease is looked at again when the state has been waited for (raft rule 9).</summary>
public sealed class LeaseReadTests
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(30);

    [Fact]
    public async Task ReadBarrier_LeaseEndsWhileItWaitsForTheState_IsNotAnsweredFromIt()
    {
        var slow = new Dictionary<NodeId, SlowMachine>();
        await using var cluster = await EngineCluster.StartAsync(
            3, options => options with { LeaseReads = true, RequestTimeout = TimeSpan.FromSeconds(2) },
            (id, ledger) => slow[id] = new SlowMachine(ledger));
        var leader = await cluster.LeaderAsync();
        var log = cluster.LogOf(leader);
        await log.ProposeAsync("first"u8.ToArray(), null, CancellationToken.None);
        try
        {
            slow[leader].Hold();

            // Whoever learns of a commit may be the one who applies, also one who only asks: this thread must stay free to release the machine.
            var second = Task.Run(() => log.ProposeAsync("second"u8.ToArray(), null, CancellationToken.None).AsTask());
            await UntilAsync(() => log.Status.Committed.CompareTo(log.Status.Applied) > 0);

            // From here on no round can be confirmed: only the lease can answer, and what it says must be applied first.
            cluster.Isolate(leader);
            var barrier = Task.Run(() => log.ReadBarrierAsync(CancellationToken.None).AsTask());
            await UntilAsync(() => log.Status.Leader != leader);
            slow[leader].Release();
            await Assert.ThrowsAsync<NoLeaderException>(() => barrier.WaitAsync(Patience));
            Assert.Equal(ProposalOutcome.Committed, (await second.WaitAsync(Patience)).Outcome);
        }
        finally
        {
            slow[leader].Release();
        }
    }

    private static async Task UntilAsync(Func<bool> isTrue)
    {
        using var patience = new CancellationTokenSource(Patience);
        using var tick = new PeriodicTimer(TimeSpan.FromMilliseconds(2));
        while (!isTrue()) await tick.WaitForNextTickAsync(patience.Token);
    }

    /// <summary>Applies nothing while it is held.</summary>
    private sealed class SlowMachine(IStateMachine inner) : IStateMachine
    {
        private readonly object _gate = new();
        private bool _isHeld;

        public ulong StateHash => inner.StateHash;

        public void Hold()
        {
            lock (_gate) _isHeld = true;
        }

        public void Release()
        {
            lock (_gate)
            {
                _isHeld = false;
                Monitor.PulseAll(_gate);
            }
        }

        public ReadOnlyMemory<byte> Apply(LogPosition position, ulong epoch, ReadOnlySpan<byte> command)
        {
            lock (_gate)
            {
                while (_isHeld) Monitor.Wait(_gate);
            }

            return inner.Apply(position, epoch, command);
        }

        public ISnapshotSource BeginSnapshot() => inner.BeginSnapshot();

        public void Restore(Stream content) => inner.Restore(content);
    }
}
