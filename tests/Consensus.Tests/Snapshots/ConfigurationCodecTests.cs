using RaftMirror.Consensus.Model;
using RaftMirror.Primitives;

namespace RaftMirror.Consensus.Tests.Snapshots;

public sealed class ConfigurationCodecTests
{
    [Fact]
    public void Encode_KnownConfiguration_GivesTheDocumentedBytes()
    {
        var configuration = new Configuration(
            [new(1), new(3)], [new(1), new(2)], [new(4)], [new Member(new(1), "é", "h:1", 5)], nextId: 9);
        Assert.Equal(
            "01000900" + "0200020001000400" + "0100030001000200" + "0400"
            + "0100050002000300c3a9683a31" + "0200640000000000" + "0300640000000000" + "0400640000000000",
            Convert.ToHexStringLower(ConfigurationCodec.Encode(configuration)));
    }

    [Fact]
    public void Decode_GeneratedConfigurations_GiveThemselvesAndTheSameBytes()
    {
        var random = new Xoshiro(7);
        for (var i = 0; i < 500; i++)
        {
            var bytes = ConfigurationCodec.Encode(Draw(random));
            Assert.Null(ConfigurationCodec.TryDecode(bytes, out var decoded));
            Assert.Equal(bytes, ConfigurationCodec.Encode(decoded));
        }

        Assert.Null(ConfigurationCodec.TryDecode(ConfigurationCodec.Encode(Configuration.Empty), out var empty));
        Assert.Empty(empty.Members);
        Assert.Equal(1, empty.NextId);
    }

    [Fact]
    public void Decode_JointConfiguration_KeepsEveryField()
    {
        var given = new Configuration([new(1), new(3)], [new(1), new(2)], [new(2), new(4)], [new Member(new(2), "b", "x:1", 0)], nextId: 40);
        Assert.Null(ConfigurationCodec.TryDecode(ConfigurationCodec.Encode(given), out var decoded));
        Assert.Equal(given.Voters, decoded.Voters);
        Assert.Equal(given.OutgoingVoters, decoded.OutgoingVoters);
        Assert.Equal(given.Learners, decoded.Learners);
        Assert.Equal(given.Details, decoded.Details);
        Assert.Equal(given.NextId, decoded.NextId);
    }

    [Fact]
    public void Decode_CutAnywhereOrLonger_IsRefused()
    {
        var bytes = ConfigurationCodec.Encode(new Configuration([new(1), new(3)], [new(2)], [new(4)], [new Member(new(1), "abc", "h:1")]));
        for (var length = 0; length < bytes.Length; length++)
            Assert.NotNull(ConfigurationCodec.TryDecode(bytes.AsSpan(0, length), out _));
        Assert.NotNull(ConfigurationCodec.TryDecode([.. bytes, 0], out _));
    }

    [Fact] // Canonical: no second spelling of any configuration is accepted.
    public void Decode_AnyByteChanged_IsRefusedOrIsWhatItSays()
    {
        var bytes = ConfigurationCodec.Encode(new Configuration([new(1), new(3)], [new(2)], [new(4)], [new Member(new(1), "é", "h:1")]));
        for (var i = 0; i < bytes.Length; i++)
        {
            for (var value = 0; value < 256; value++)
            {
                var changed = bytes.ToArray();
                changed[i] = (byte)value;
                if (ConfigurationCodec.TryDecode(changed, out var decoded) is null) Assert.Equal(changed, ConfigurationCodec.Encode(decoded));
            }
        }
    }

    [Theory]
    [InlineData("02000200010000000000010001000100640000000000", "unknown configuration format 2")]
    [InlineData("01000200010000000000010000000000640000000000", "0 is no node id")]
    [InlineData("0100ffff010000000000" + "0100ffffffff640000000000", "65535 is no node id")]
    [InlineData("01000200020000000000010001000100" + "0100640000000000", "node ids are not in ascending order")]
    [InlineData("01000200010000000100" + "010001000100" + "0100640000000000", "a learner is a voter, too")]
    [InlineData("01000200000001000000" + "01000100" + "0100640000000000", "a joint configuration leads to one without voters")]
    [InlineData("01000100010000000000" + "01000100" + "0100640000000000", "the next id was given already")]
    [InlineData("01000300010000000000" + "01000100" + "0200640000000000", "the list of members is not that of the voters and learners")]
    [InlineData("01000300010000000000" + "0000" + "0100", "the list of members is not that of the voters and learners")]
    [InlineData("01000200010000000000" + "01000100" + "0100640001000000ff", "a member's name or address is no UTF-8")]
    [InlineData("01000200010000000000" + "01000100" + "0100640001010000", "a member's name or address is too long")]
    [InlineData("0100ffffffffffffffffffff", "a configuration is cut short")]
    public void Decode_HostileBytes_SaysWhatIsWrong(string hex, string error) =>
        Assert.Equal(error, ConfigurationCodec.TryDecode(Convert.FromHexString(hex), out _));

    private static Configuration Draw(Xoshiro random)
    {
        List<NodeId> voters = [], outgoing = [], learners = [];
        List<Member> members = [];
        for (ushort id = 1; id < 20; id++)
        {
            switch (random.Next(6))
            {
                case 0: voters.Add(new(id)); break;
                case 1: learners.Add(new(id)); break;
                case 2: outgoing.Add(new(id)); voters.Add(new(id)); break;
                case 3: outgoing.Add(new(id)); learners.Add(new(id)); break;
                default: continue;
            }

            members.Add(new Member(new(id), new string('ä', random.Next(65)), $"host-{random.Next(1000)}:{id}", (byte)random.Next(256)));
        }

        if (voters.Count == 0) voters.Add(new(30));
        return new Configuration(voters, outgoing, learners, members, (ushort)random.Next(100));
    }
}
