using RaftMirror.ControlPlane.Model;
using RaftMirror.DataPlane.DiskIo;
using RaftMirror.DataPlane.Metadata;
using RaftMirror.Node.Disks;
using Xunit;

namespace RaftMirror.Node.Tests;

/// <summary>What a node that serves a set says of its disks (design §14.20, §14.21).</summary>
public sealed class DiskDutiesTests
{
    // A node went without a disk for ever: the call that hung came back in the moment in which the node told of it.
    [Theory]
    [InlineData(DiskLossReason.TimedOut, "onlyHere", true)]
    [InlineData(DiskLossReason.TimedOut, "slow", true)]
    [InlineData(DiskLossReason.TimedOut, "fine", false)]
    [InlineData(DiskLossReason.TimedOut, null, false)] // Another data plane, which has not met the call.
    [InlineData(DiskLossReason.FailsHere, "fine", true)] // The place that fails is asked for elsewhere.
    [InlineData(DiskLossReason.Absent, "fine", false)]
    public void Complaint_DiskLooksWell_StandsOnlyWhileACallHangsOrFails(DiskLossReason reason, string? phase, bool stands)
    {
        IReadOnlyList<DiskStatistics> figures = phase is null ? [] : [new DiskStatistics("d1", 0, 0, phase), new DiskStatistics("d2", 9000, 1, "hangs")];

        Assert.Equal(stands, DiskDuties.StandsThoughUsable(new DiskComplaint("d1", reason, "said"), figures));
    }

    [Theory] // The trial of a slow disk takes its time, and a look that met it said "absent": the next one took that back, unproven.
    [InlineData(DiskLossReason.FailsHere, DiskFinding.Silent, "said")]
    [InlineData(DiskLossReason.FailsHere, DiskFinding.Missing, "found")]
    [InlineData(DiskLossReason.FailsHere, DiskFinding.Foreign, "found")]
    [InlineData(DiskLossReason.Absent, DiskFinding.Silent, "found")]
    [InlineData(DiskLossReason.Absent, DiskFinding.Usable, null)]
    public void ToTell_DiskFailsHere_StandsWhileTheDiskIsSilent(DiskLossReason reason, DiskFinding finding, string? told)
    {
        var verdicts = new Dictionary<string, DiskVerdict> { ["d1"] = new(finding, "found") };
        Assert.Equal(
            told is null ? [] : [told],
            DiskDuties.ToTell([new DiskComplaint("d1", reason, "said")], verdicts, null).Select(static complaint => complaint.Detail));
    }

    [Fact]
    public void Complaint_NoDataPlaneYet_Stands() =>
        Assert.True(DiskDuties.StandsThoughUsable(new DiskComplaint("d1", DiskLossReason.TimedOut, "said"), null));
}
