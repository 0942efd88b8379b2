using RaftMirror.Consensus.Core;
using RaftMirror.Consensus.Messages;
using RaftMirror.Consensus.Model;
using RaftMirror.Consensus.Storage;
using RaftMirror.Consensus.Tests.Storage;

namespace RaftMirror.Consensus.Tests.Core;

/// <summary>What a node remembers of others' lives, in memory, on disk and on the wire (design §14.24).</summary>
public sealed class WitnessTests
{
    private static readonly NodeId Peer = new(2);

    [Fact]
    public void Contradiction_NeverMet_IsNone() => Assert.Null(new Witness([]).Contradiction(Peer, new NodeLife(1, [10], default)));

    [Fact]
    public void Contradiction_LaterLifeThatRemembersTheKnownOne_IsNone()
    {
        var witness = Knowing(3, 30, new Promised(4, 100));
        Assert.Null(witness.Contradiction(Peer, new NodeLife(5, [50, 40, 30, 20], new Promised(4, 100))));
        Assert.Null(witness.Contradiction(Peer, new NodeLife(4, [40, 30], new Promised(5, 90)))); // A later leader cut the tail off.
    }

    [Theory]
    [InlineData(3, 31)] // The same number, another start.
    [InlineData(2, 20)] // An earlier one.
    [InlineData(5, 50)] // A later one of a directory that had another third start.
    public void Contradiction_LifeThatDoesNotRememberTheKnownOne_IsFound(ulong incarnation, ulong start)
    {
        ulong[] starts = incarnation == 5 ? [start, 41, 31] : [start];
        Assert.NotNull(Knowing(3, 30, new Promised(4, 100)).Contradiction(Peer, new NodeLife(incarnation, starts, new Promised(9, 900))));
    }

    [Fact]
    public void Contradiction_LogShorterThanPromised_IsFound()
    {
        var witness = Knowing(3, 30, new Promised(4, 100));
        Assert.NotNull(witness.Contradiction(Peer, new NodeLife(4, [40, 30], new Promised(4, 99))));
        Assert.NotNull(witness.Contradiction(Peer, new NodeLife(4, [40, 30], new Promised(3, 500))));
        Assert.NotNull(witness.Contradiction(Peer, new NodeLife(400, [40], new Promised(4, 99)))); // Too far back to be remembered.
    }

    [Fact]
    public void Contradiction_SeededAnew_BindsAgainFromThenOn()
    {
        var witness = Knowing(3, 30, new Promised(4, 100));
        var seeded = new NodeLife(4, [40], default, Forgiven: new Promised(5, 120), Floor: new EntryId(5, 120));
        Assert.Null(witness.Contradiction(Peer, seeded));
        Assert.True(witness.Admit(Peer, seeded, default));
        witness.Heard(Peer, new Promised(5, 110));
        Assert.NotNull(witness.Contradiction(Peer, seeded with { Incarnation = 5, Starts = [50, 40], Recovered = new Promised(5, 109) }));
        Assert.NotNull(witness.Contradiction(Peer, new NodeLife(4, [41, 30], new Promised(4, 100)))); // A copy of before.
        Assert.NotNull(Knowing(3, 30, new Promised(6, 1)).Contradiction(Peer, seeded)); // It had promised more than it is released from.
    }

    [Fact]
    public void Heard_LessThanBefore_ChangesNothing()
    {
        var witness = Knowing(3, 30, new Promised(4, 100));
        witness.Take(_ => false);
        witness.Heard(Peer, new Promised(4, 99));
        witness.Heard(new NodeId(9), new Promised(4, 1)); // Whose life is not known.
        Assert.False(witness.IsDirty);
        witness.Heard(Peer, new Promised(4, 101));
        Assert.Equal(101ul, Assert.Single(witness.Take(_ => false)).Promised.Index);
        Assert.Empty(witness.Take(node => node == Peer)); // It has left.
    }

    [Fact]
    public void KnownLives_WrittenAndTorn_TheOneBeforeIsRead()
    {
        var storage = new MemoryStorage();
        KnownLife first = new(Peer, 3, 30, new Promised(4, 100), new Promised(1, 2)), second = first with { Promised = new Promised(4, 200) };
        Write(storage, [first]);
        Write(storage, [second, first with { Node = new NodeId(3) }]);
        Assert.Equal([second, first with { Node = new NodeId(3) }], Read(storage));
        storage.Files[KnownLives.FileName][20] ^= 1; // Slot 0 has the second generation.
        Assert.Equal([first], Read(storage));
        storage.Files[KnownLives.FileName][(16 * 1024) + 40] ^= 1;
        Assert.Throws<WalException>(() => Read(storage));
    }

    [Fact]
    public void Claim_EncodedAndCutShort_IsReadWholeOrNotAtAll()
    {
        var claim = new Message
        {
            Kind = MessageKind.Claim,
            From = Peer,
            To = new NodeId(1),
            Term = 7,
            Commit = 8,
            IsTransfer = true,
            Life = new NodeLife(3, [30, 20], new Promised(1, 2), new Promised(3, 4), new EntryId(5, 6)),
        };
        var bytes = new byte[MessageCodec.Length(claim)];
        MessageCodec.Encode(claim, bytes);
        Assert.Null(MessageCodec.TryDecode(bytes, claim.From, claim.To, out var read));
        Assert.Equal(claim with { Life = null }, read with { Life = null });
        Assert.Equal(claim.Life.Starts, read.Life!.Starts);
        Assert.Equal(claim.Life with { Starts = read.Life.Starts }, read.Life);
        for (var length = 0; length < bytes.Length; length++)
            Assert.NotNull(MessageCodec.TryDecode(bytes.AsSpan(0, length), claim.From, claim.To, out _));
        bytes[4] = 0; // No start.
        Assert.NotNull(MessageCodec.TryDecode(bytes, claim.From, claim.To, out _));
    }

    private static Witness Knowing(ulong incarnation, ulong start, Promised promised) => new([new KnownLife(Peer, incarnation, start, promised)]);

    private static void Write(MemoryStorage storage, KnownLife[] lives)
    {
        using var file = new KnownLives(storage);
        file.Write(lives);
        file.Flush();
    }

    private static IReadOnlyList<KnownLife> Read(MemoryStorage storage)
    {
        using var file = new KnownLives(storage);
        return file.Recovered;
    }
}
