using RaftMirror.Integration.Tests.Harness;
using Xunit;
using Xunit.Abstractions;

namespace RaftMirror.Integration.Tests;

/// <summary>The story that newcomers see first.</summary>
public sealed class DemoTests(ITestOutputHelper output)
{
    [Fact]
    public async Task Demo_RunOnce_EndsWell_WithMeasuredFigures()
    {
        var result = (await TestCluster.RunCliAsync("demo", "--once", "-o", "json")).Expect();
        output.WriteLine(result.ToString());
        var steps = result.Json["steps"]!.AsArray();
        Assert.True((bool)result.Json["ok"]!);
        Assert.True(steps.Count >= 5, $"only {steps.Count} steps");
        foreach (var step in steps)
        {
            Assert.True((bool)step!["ok"]!, step.ToJsonString());
            var figures = step["figures"]!.AsObject();
            Assert.NotEmpty(figures);
            Assert.All(figures, figure => Assert.True((double)figure.Value! >= 0, $"{figure.Key} is {figure.Value}"));
            Assert.Contains(figures, figure => (double)figure.Value! > 0);
        }

        Assert.False(Directory.Exists((string?)result.Json["directory"]), "the demo left its directory behind");
    }
}
