using RaftMirror.DataPlane.Devices;
using RaftMirror.DataPlane.Metadata;
using RaftMirror.Primitives;
using Xunit;

namespace RaftMirror.DataPlane.Tests.Metadata;

/// <summary>Which answers let a node use a disk (ADR 0020), and the block that nodes answer with. That it holds in all interleavings is shown in the simulator.</summary>
public sealed class SamenessTests
{
    private readonly DiskClaim _claim = new();

    [Fact]
    public void Look_AllSeeItOrDoNotUseIt_IsInUse()
    {
        var look = Ask(isJoined: true, "a", "c", "d").Hear("a", ProofStanding.Failed, false).Hear("c", ProofStanding.NotOpen, false);
        Assert.Equal(["a", "d"], look.Open.Keys);
        look = look.Hear("a", ProofStanding.Seen, true);
        Assert.Equal(SamenessVerdict.Asking, look.Verdict);
        End(look.Hear("d", ProofStanding.Seen, false), SamenessVerdict.Same, ClaimPhase.InUse);
    }

    [Fact] // It is shown to the others from now on, and used only after they were asked again.
    public void Look_BeforeItServesTheSet_IsClaimedOnly()
    {
        End(Ask(isJoined: false), SamenessVerdict.Same, ClaimPhase.Claimed);
        End(Ask(isJoined: true), SamenessVerdict.Same, ClaimPhase.InUse);
    }

    [Fact] // A check of the disk may have wiped a nonce out.
    public void Look_AnotherOneIsInUse_GivesWayOnceItIsSure()
    {
        var look = Ask(isJoined: true, "c");
        for (var i = 1; i < SamenessLook.Mismatches; i++) look = look.Hear("c", ProofStanding.NotSeen, true);
        Assert.Equal(SamenessVerdict.Asking, look.Verdict);
        look = look.Hear("c", ProofStanding.NotSeen, true);
        Assert.Equal("c", look.Opponent);
        End(look, SamenessVerdict.Other, ClaimPhase.None);
    }

    [Theory]
    [InlineData("a", SamenessVerdict.Other)] // It goes first.
    [InlineData("c", SamenessVerdict.Asking)] // It gives way, and is waited for.
    public void Look_AnotherOneIsClaimed_TheFirstByNameGoesFirst(string other, SamenessVerdict expected)
    {
        var look = Ask(isJoined: true, other);
        for (var i = 0; i < 3 * SamenessLook.ClaimMismatches && look.Verdict == SamenessVerdict.Asking; i++) look = look.Hear(other, ProofStanding.NotSeen, false);
        End(look, expected, ClaimPhase.None);
    }

    [Fact]
    public void Ask_WithoutAClaim_IsRefused()
    {
        Assert.Throws<InvariantException>(() => _claim.Ask("b", true, []));
        End(Ask(isJoined: true), SamenessVerdict.Same, ClaimPhase.InUse);
        Assert.Throws<InvariantException>(_claim.Claim);
    }

    [Fact]
    public void Block_ShowsTheNewestNoncesOfItsDisk()
    {
        using var device = new MemoryBlockDevice("d", 64 << 20);
        Assert.True(DiskLayout.TryCreate(64 << 20, 16 << 20, 4, out var layout, out _));
        var disk = Guid.NewGuid();
        Guid[] nonces = [.. Enumerable.Range(0, SamenessProof.Nonces + 1).Select(static _ => Guid.NewGuid())];
        Assert.False(Sees(nonces[0]));
        Assert.Equal(DeviceStatus.Ok, SamenessProof.Write(device, layout, 2, disk, nonces));
        Assert.All(nonces[..^1], nonce => Assert.True(Sees(nonce)));
        Assert.False(Sees(nonces[^1]));
        Assert.False(Sees(nonces[0], slot: 1));
        Assert.False(Sees(nonces[0], of: Guid.NewGuid()));

        bool Sees(Guid nonce, int slot = 2, Guid? of = null)
        {
            Assert.Equal(DeviceStatus.Ok, SamenessProof.Read(device, layout, slot, of ?? disk, nonce, out var isThere));
            return isThere;
        }
    }

    private SamenessLook Ask(bool isJoined, params string[] others)
    {
        _claim.Claim();
        return _claim.Ask("b", isJoined, others);
    }

    private void End(SamenessLook look, SamenessVerdict verdict, ClaimPhase phase)
    {
        Assert.Equal(verdict, look.Verdict);
        _claim.End(look);
        Assert.Equal(phase, _claim.Phase);
    }
}
