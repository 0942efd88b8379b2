using System.Globalization;
using RaftMirror.Consensus.Model;
using RaftMirror.Primitives;
using Xunit;

namespace RaftMirror.ControlPlane.Tests;

/// <summary>Snapshots of the replicated state machine: the same bytes on every node.</summary>
public sealed class MachineSnapshotTests
{
    [Theory]
    [InlineData(1, "~", ",", "Asia/Kolkata")]
    [InlineData(2, "\u2212", "\u066B", "America/St_Johns")]
    [InlineData(3, "minus", " ", "Pacific/Chatham")]
    public void Snapshot_TwinThatWentThroughSnapshotsUnderAnotherCultureAndTimeZone_IsByteIdentical(
        ulong seed, string negativeSign, string separator, string timeZone)
    {
        var random = new Xoshiro(seed);
        var bench = Bench.Cluster();
        for (var i = 0; i < 400; i++) bench.Do(RandomStreamTests.Draw(bench, random));
        var (left, right) = (new ControlPlaneMachine(), new ControlPlaneMachine());
        var restores = 0;
        for (var i = 0; i < bench.Log.Count; i++)
        {
            var position = new LogPosition((ulong)i + 1);
            var result = left.Apply(position, 1, bench.Log[i]).ToArray();
            var expected = Bytes(left);
            var (before, zone) = (CultureInfo.CurrentCulture, Environment.GetEnvironmentVariable("TZ"));
            CultureInfo.CurrentCulture = Foreign(negativeSign, separator);
            SetTimeZone(timeZone);
            try
            {
                Assert.Equal(result, right.Apply(position, 1, bench.Log[i]).ToArray());
                if (random.Chance(0.1))
                {
                    var content = Bytes(right);
                    right = new ControlPlaneMachine();
                    if (i % 2 == 0) right.Restore(new MemoryStream(expected[..])); // What is in place is replaced, whole.
                    right.Restore(new MemoryStream(content));
                    restores++;
                }

                Assert.Equal(left.StateHash, right.StateHash);
                Assert.Equal(expected, Bytes(right));
            }
            finally
            {
                CultureInfo.CurrentCulture = before;
                SetTimeZone(zone);
            }
        }

        Assert.True(restores > 10);
        Assert.Equal(Bytes(left), Bytes(right));
    }

    [Fact] // A view taken before later commands stays as it was.
    public void BeginSnapshot_CommandsApplyBeforeItIsWritten_WritesTheStateOfItsTime()
    {
        var bench = Bench.Cluster();
        var expected = Bytes(bench.Machine);
        var view = bench.Machine.BeginSnapshot();
        bench.WithMirror();
        using var stream = new MemoryStream();
        view.WriteTo(stream);
        Assert.Equal(expected, stream.ToArray());
        Assert.NotEqual(expected, Bytes(bench.Machine));
    }

    [Fact] // Half a snapshot must not be half a state.
    public void Restore_CutAnywhereOrLonger_IsRefusedAndChangesNothing()
    {
        var bench = Bench.Cluster();
        var content = Bytes(bench.Machine);
        var target = new ControlPlaneMachine();
        var before = Bytes(target);
        for (var length = 0; length < content.Length; length += length < 64 ? 1 : 97)
            Assert.Throws<InvalidDataException>(() => target.Restore(new MemoryStream(content, 0, length)));
        Assert.Throws<InvalidDataException>(() => target.Restore(new MemoryStream([.. content, 0])));
        Assert.Equal(before, Bytes(target));
        target.Restore(new MemoryStream(content));
        Assert.Equal(content, Bytes(target));
        Assert.Equal(bench.Machine.StateHash, target.StateHash);
    }

    /// <summary>Other signs, separators and patterns. Made by hand: the build knows the invariant culture only.</summary>
    private static CultureInfo Foreign(string negativeSign, string separator)
    {
        var culture = (CultureInfo)CultureInfo.InvariantCulture.Clone();
        culture.NumberFormat.NegativeSign = negativeSign;
        culture.NumberFormat.NumberDecimalSeparator = separator;
        culture.NumberFormat.NumberGroupSizes = [2];
        culture.DateTimeFormat.ShortDatePattern = "dd|MM|yyyy";
        return culture;
    }

    private static void SetTimeZone(string? name)
    {
        Environment.SetEnvironmentVariable("TZ", name);
        TimeZoneInfo.ClearCachedData();
    }

    private static byte[] Bytes(ControlPlaneMachine machine)
    {
        using var stream = new MemoryStream();
        machine.BeginSnapshot().WriteTo(stream);
        return stream.ToArray();
    }
}
