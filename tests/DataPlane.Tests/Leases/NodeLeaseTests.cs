using RaftMirror.DataPlane.Leases.Core;
using Xunit;

namespace RaftMirror.DataPlane.Tests.Leases;

// Design §6.1: from the send time, bound to incarnation and epoch, and only once what was committed is enacted.
public sealed class NodeLeaseTests
{
    [Fact]
    public void Grant_Enacted_LastsFromSendTime()
    {
        var lease = new NodeLease(7);
        lease.Enacted(10);
        lease.Grant(new LeaseGrant(SentNs: 1000, LengthNs: 500, MinIndex: 10, Epoch: 1, Incarnation: 7));
        Assert.True(lease.IsActive(1499));
        Assert.False(lease.IsActive(1500));
    }

    [Fact]
    public void Grant_NotEnactedYet_CountsOnceEnacted()
    {
        var lease = new NodeLease(7);
        lease.Grant(new LeaseGrant(1000, 500, MinIndex: 11, Epoch: 1, Incarnation: 7));
        lease.Enacted(10);
        Assert.False(lease.IsActive(1001));
        lease.Enacted(11);
        Assert.True(lease.IsActive(1001));
    }

    [Fact]
    public void Grant_NewerNotEnacted_OlderGoesOnToItsEnd()
    {
        var lease = new NodeLease(7);
        lease.Enacted(10);
        lease.Grant(new LeaseGrant(1000, 500, 10, 1, 7));
        lease.Grant(new LeaseGrant(1400, 500, 12, 1, 7));
        Assert.True(lease.IsActive(1499));
        Assert.False(lease.IsActive(1500));
        lease.Enacted(12);
        Assert.True(lease.IsActive(1899));
    }

    [Theory]
    [InlineData(6)]
    [InlineData(8)]
    public void Grant_OfAnotherIncarnation_IsIgnored(ulong incarnation)
    {
        var lease = new NodeLease(7);
        lease.Enacted(10);
        lease.Grant(new LeaseGrant(1000, 500, 10, 1, incarnation));
        Assert.False(lease.IsActive(1001));
    }

    [Fact]
    public void Grant_OfOlderEpoch_IsIgnored()
    {
        var lease = new NodeLease(7);
        lease.Enacted(10);
        lease.Grant(new LeaseGrant(1000, 500, 10, 2, 7));
        lease.Grant(new LeaseGrant(1400, 500, 10, 1, 7));
        Assert.False(lease.IsActive(1500));
    }

    [Fact]
    public void Fence_EndsItForGood()
    {
        var lease = new NodeLease(7);
        lease.Enacted(10);
        lease.Grant(new LeaseGrant(1000, 500, 10, 1, 7));
        lease.Fence();
        lease.Grant(new LeaseGrant(1100, 500, 10, 2, 7));
        Assert.False(lease.IsActive(1101));
        Assert.Equal(0, lease.ExpiresNs);
    }
}
