namespace RaftMirror.Consensus.Tests.EtcdScenarios;

/// <summary>The comparison itself: it must be able to fail.</summary>
public sealed class FactsTests
{
    [Fact]
    public void Verify_DifferenceThatIsNotListed_Fails()
    {
        var facts = new Facts("nothing");
        Assert.True(facts.Compare(1, "term", "1", "1"));
        Facts.Verify([facts]);
        Assert.False(facts.Compare(1, "term", "1", "2"));
        Assert.Contains("| nothing | 1 | term | 2 |", Assert.ThrowsAny<Xunit.Sdk.XunitException>(() => Facts.Verify([facts])).Message);
    }

    [Fact]
    public void Verify_ListedDifferenceIsGoneOrAnother_Fails()
    {
        var listed = Facts.Differences()[0];
        var facts = new Facts(listed.File);
        facts.Compare(listed.Line, listed.Fact, "theirs", "something else");
        var message = Assert.ThrowsAny<Xunit.Sdk.XunitException>(() => Facts.Verify([facts])).Message;
        Assert.Contains("something else", message);
        Assert.Contains($"no longer so: {listed}", message);
    }

    [DataFact("etcd-raft")]
    public void Differences_EachRow_IsOfACaseThatExists()
    {
        var folder = TestData.Require("etcd-raft");
        foreach (var file in Facts.Differences().GroupBy(difference => difference.File))
        {
            var lines = DataDriven.Read(folder, file.Key).Select(one => one.Line).ToHashSet();
            Assert.All(file, difference => Assert.Contains(difference.Line, lines));
            Assert.Equal(file.Count(), file.Select(difference => (difference.Line, difference.Fact)).Distinct().Count());
        }
    }
}
