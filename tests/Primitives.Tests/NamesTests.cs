using Xunit;

namespace RaftMirror.Primitives.Tests;

/// <summary>Names of nodes, sets, disks and volumes.</summary>
public sealed class NamesTests
{
    [Theory]
    [InlineData("a", true)]
    [InlineData("0", true)]
    [InlineData("vm-store_1.b", true)]
    [InlineData("", false)]
    [InlineData(null, false)]
    [InlineData("-a", false)]
    [InlineData(".a", false)]
    [InlineData("_a", false)]
    [InlineData("A", false)]
    [InlineData("a/b", false)]
    [InlineData("a b", false)]
    [InlineData("\u00e9", false)]
    [InlineData("a\n", false)]
    public void IsValid_FollowsTheRule(string? name, bool expected) => Assert.Equal(expected, Names.IsValid(name));

    [Theory]
    [InlineData(63, true)]
    [InlineData(64, false)]
    public void IsValid_LengthIsBounded(int length, bool expected) => Assert.Equal(expected, Names.IsValid(new string('a', length)));
}
