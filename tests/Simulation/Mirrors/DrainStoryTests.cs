using RaftMirror.DataPlane.Configuration;
using RaftMirror.DataPlane.Mirroring.Core;
using Xunit.Abstractions;

namespace RaftMirror.Simulation.Mirrors;

/// <summary>A node that takes its set out of service, in all orders of what else concerns the set; and that each bug is found in them.</summary>
public sealed class DrainStoryTests(ITestOutputHelper output)
{
    [Theory]
    [InlineData(WriterMode.One, RecoveryMode.Log)]
    [InlineData(WriterMode.All, RecoveryMode.Log)]
    [InlineData(WriterMode.All, RecoveryMode.App)]
    public void Story_AllOrders_WhoLeavesAnswersAllThatConcernsTheSet(WriterMode writers, RecoveryMode recovery)
    {
        foreach (var hasWrite in (bool[])[false, true]) Assert.Null(Find(writers, recovery, hasWrite, MirrorFaults.None));
    }

    [Theory]
    [InlineData(nameof(MirrorFaults.DeafWhileDraining), true, "the drain has not ended")]
    [InlineData(nameof(MirrorFaults.DeafWhileDraining), false, "")]
    [InlineData(nameof(MirrorFaults.ReleaseOnClosedDisks), false, "whose device is closed")]
    public void Story_WithABug_IsBroken(string name, bool hasWrite, string by)
    {
        var found = Find(WriterMode.One, RecoveryMode.Log, hasWrite, Enum.Parse<MirrorFaults>(name));
        output.WriteLine($"{name}: {found}");
        Assert.NotNull(found);
        Assert.Contains(by, found, StringComparison.Ordinal);
    }

    private static string? Find(WriterMode writers, RecoveryMode recovery, bool hasWrite, MirrorFaults faults)
    {
        foreach (var order in DrainStory.Orders())
        {
            if (new DrainStory(writers, recovery, hasWrite, faults).Run(order) is { } broken) return $"{broken}: {string.Join(", ", order)}";
        }

        return null;
    }
}
