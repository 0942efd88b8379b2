using System.Diagnostics;
using RaftMirror.Linearizability;
using RaftMirror.Linearizability.Models;
using Xunit.Abstractions;

namespace RaftMirror.Consensus.Tests.Linearizability;

/// <summary>The checker against histories of etcd whose verdicts are known (Jepsen, as kept by Porcupine).</summary>
public sealed class JepsenHistoryTests(ITestOutputHelper output)
{
    private const int Histories = 52;

    [DataFact("linearizability")]
    public void Check_EtcdHistories_GivesTheKnownVerdicts()
    {
        var folder = TestData.Require("linearizability");
        var known = File.ReadLines(Path.Combine(folder, "verdicts.txt"))
            .Select(line => line.Split(' '))
            .ToDictionary(parts => parts[0], parts => bool.Parse(parts[1]));
        Assert.Equal(Histories, known.Count);
        Assert.Contains(true, known.Values);
        Assert.Contains(false, known.Values);

        var watch = Stopwatch.StartNew();
        var wrong = new List<string>();
        var operations = 0;
        var configurations = 0L;
        var most = (Configurations: 0L, File: "");
        foreach (var (file, linearizable) in known.OrderBy(pair => pair.Key, StringComparer.Ordinal))
        {
            var history = JepsenHistory.Parse(File.ReadLines(Path.Combine(folder, file)));
            var result = Checker.Check(new RegisterModel(), history);
            operations += history.Count;
            configurations += result.Configurations;
            if (result.Configurations > most.Configurations) most = (result.Configurations, file);
            if (result.Verdict != (linearizable ? Verdict.Linearizable : Verdict.NotLinearizable))
            {
                wrong.Add($"{file}: {result.Explain()}");
            }
            else if (Evidence.Fault(new RegisterModel(), history, result) is { } fault)
            {
                wrong.Add($"{file}: {fault}");
            }
        }

        output.WriteLine(
            $"{known.Count} histories ({known.Values.Count(value => value)} linearizable), {operations} operations, "
            + $"{configurations} configurations (most: {most.Configurations} in {most.File}), {watch.ElapsedMilliseconds} ms");
        Assert.Empty(wrong);
    }

    [Fact]
    public void Parse_LineOfAnotherKind_Throws()
    {
        string[] lines = ["INFO  jepsen.util - 0\t:invoke\t:read\tnil", "INFO  jepsen.util - :nemesis\t:info\t:start\tnil"];
        Assert.Throws<FormatException>(() => JepsenHistory.Parse(lines));
    }

    [Fact]
    public void Parse_EachOutcome_BecomesItsAnswer()
    {
        string[] lines =
        [
            "INFO  jepsen.util - 0\t:invoke\t:write\t4", "INFO  jepsen.util - 1\t:invoke\t:cas\t[4 2]",
            "INFO  jepsen.util - 2\t:invoke\t:read\tnil", "INFO  jepsen.util - 3\t:invoke\t:read\tnil",
            "INFO  jepsen.util - 0\t:info\t:write\t:timed-out", "INFO  jepsen.util - 1\t:fail\t:cas\t[4 2]",
            "INFO  jepsen.util - 2\t:fail\t:read\t:timed-out", "INFO  jepsen.util - 3  :ok     :read   nil",
        ];
        Assert.Equal(
            [
                new(0, new RegisterInput(RegisterAction.Write, 4), default, 1, 0),
                new(1, new RegisterInput(RegisterAction.CompareAndSet, 2, 4), Answer.Of(new RegisterOutput(null, false)), 2, 5),
                new(3, new RegisterInput(RegisterAction.Read), Answer.Of(new RegisterOutput(null)), 4, 6),
            ],
            JepsenHistory.Parse(lines));
    }
}
