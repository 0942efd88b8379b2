using System.Text.Json;
using RaftMirror.ControlPlane.Commands;
using RaftMirror.ControlPlane.Model;
using RaftMirror.ControlPlane.Snapshots;
using Xunit;

namespace RaftMirror.ControlPlane.Tests;

/// <summary>What a request id stands for (I-ONCE).</summary>
public sealed class RequestIdTests
{
    private static readonly Guid One = Bench.Id(1_800_000_001_000, 77);

    [Fact]
    public void Decide_IdOfAnotherCommand_IsRefusedAndNothingIsDone()
    {
        var bench = Bench.Cluster();
        var first = bench.Do(new CreateMirror("s", "one", 8 << 20, ["d1", "d2"]), One);
        Assert.Equal("ok", first.Code);
        var sets = bench.State.Sets;
        foreach (var other in (CommandBody[])[
            new CreateMirror("s", "two", 8 << 20, ["d1", "d2"]), new DeleteMirror("s", "one"), new CreateMirror("s", "one", 16 << 20, ["d1", "d2"])])
        {
            var refused = bench.Do(other, One);
            Assert.Equal((CommandOutcome.Rejected, RequestRules.Reused, RejectionKind.Precondition), (refused.Outcome, refused.Code, refused.Kind));
            Assert.Contains($"'CreateMirror' at index {first.Index}", refused.Message, StringComparison.Ordinal);
            Assert.Empty(bench.LastEvents);
            Assert.Same(sets, bench.State.Sets);
        }

        // The first one still has the id, and a refused one can have another.
        Assert.Equal(first, bench.Do(new CreateMirror("s", "one", 8 << 20, ["d1", "d2"]), One));
        Assert.Equal("ok", bench.Do(new CreateMirror("s", "two", 8 << 20, ["d1", "d2"])).Code);
    }

    [Fact]
    public void Decide_IdOfARefusedCommand_StandsForThatCommandToo()
    {
        var bench = Bench.Cluster();
        var first = bench.Do(new DeleteMirror("s", "nosuch"), One);
        Assert.Equal("noSuchVolume", first.Code);
        Assert.Equal(RequestRules.Reused, bench.Do(new CreateMirror("s", "one", 8 << 20, ["d1"]), One).Code);
        Assert.Equal(first, bench.Do(new DeleteMirror("s", "nosuch"), One));
    }

    [Fact] // A leader adds what it knows (incarnations, evidence); that is not what was asked for.
    public void Decide_RepeatTranslatedOtherwise_ReturnsFirstResult()
    {
        var bench = Bench.Cluster().WithMirror();
        var digest = RequestDigest.Of("moveOwner", JsonOf("""{"set":"s","volume":"v","to":"b"}"""));
        var first = bench.Do(new MoveOwner("s", "v", "b", 10, TransferReason.Planned), One, digest: digest);
        Assert.Equal(first, bench.Do(new MoveOwner("s", "v", "b", 11, TransferReason.Planned), One, digest: digest));
    }

    [Fact]
    public void Snapshot_RoundTrip_StillKnowsWhatAnIdStandsFor()
    {
        var bench = Bench.Cluster();
        bench.Do(new CreateMirror("s", "one", 8 << 20, ["d1", "d2"]), One);
        var copy = StateCodec.Decode(StateCodec.Encode(bench.State));
        Assert.Equal(bench.State.Requests.Find(One), copy.Requests.Find(One));
        Assert.Equal(RequestRules.Reused, RequestRules.Answer(copy.Requests, One, "deleteMirror:00", 99)?.Code);
    }

    [Theory]
    [InlineData("""{"b":1,"a":"x"}""", """{ "a" : "x", "b" : 1 }""", true)] // Order and white space.
    [InlineData("""{"a":"x"}""", """{"a":"x","b":null}""", true)] // What is not there is null.
    [InlineData("""{"a":"\u0078"}""", """{"a":"x"}""", true)] // Spelling.
    [InlineData("""{"a":{"c":1,"b":2}}""", """{"a":{"b":2,"c":1}}""", true)]
    [InlineData("""{"a":["x","y"]}""", """{"a":["y","x"]}""", false)] // The order of disks is the order of submirrors.
    [InlineData("""{"a":1}""", """{"a":2}""", false)]
    [InlineData("""{"a":"1"}""", """{"a":1}""", false)]
    [InlineData("""{"a":"x","b":"y"}""", """{"a":"x,b:y"}""", false)]
    public void Digest_SameRequest_IsSame(string one, string other, bool isSame)
    {
        Assert.Equal(isSame, RequestDigest.Of("t", JsonOf(one)) == RequestDigest.Of("t", JsonOf(other)));
        Assert.NotEqual(RequestDigest.Of("t", JsonOf(one)), RequestDigest.Of("u", JsonOf(one)));
        Assert.Equal("t", RequestDigest.TypeOf(RequestDigest.Of("t", JsonOf(one))));
    }

    private static JsonElement JsonOf(string text)
    {
        using var document = JsonDocument.Parse(text);
        return document.RootElement.Clone();
    }
}
