using RaftMirror.Linearizability;
using RaftMirror.Linearizability.Models;

namespace RaftMirror.Chaos.Driver;

/// <summary>The objects of some seconds and what clients did to them. Recorders on any thread; checked by one, when all clients have left.</summary>
internal sealed class Round(int number)
{
    /// <summary>Objects of each kind.</summary>
    public const int Objects = 4;

    private static readonly CheckOptions Bounds = new(TimeSpan.FromSeconds(60));

    public int Number { get; } = number;

    public HistoryRecorder<KeyValueInput, KeyValueOutput> Values { get; } = new();

    public HistoryRecorder<QueueInput, QueueOutput> Queues { get; } = new();

    public HistoryRecorder<SetInput, SetOutput> Sets { get; } = new();

    /// <summary>The name of an object.</summary>
    public string Key(string kind, int place) => $"{kind}{Number}.{place}";

    /// <summary>Checks all histories and counts them.</summary>
    /// <returns>Operations checked.</returns>
    public int Check(ChaosReport report, bool keepsHistories)
    {
        var (values, queues, sets) = (Values.Snapshot(), Queues.Snapshot(), Sets.Snapshot());
        Count(values, KeyValueModel.KeyOf, Checker.CheckByKey(new KeyValueModel(), values, KeyValueModel.KeyOf, Bounds));
        Count(queues, QueueModel.KeyOf, Checker.CheckByKey(new QueueModel(), queues, QueueModel.KeyOf, Bounds));
        Count(sets, SetModel.KeyOf, Checker.CheckByKey(new SetModel(), sets, SetModel.KeyOf, Bounds));
        return values.Count + queues.Count + sets.Count;

        void Count<TInput, TOutput>(
            IReadOnlyList<Operation<TInput, TOutput>> history, Func<TInput, string> keyOf, CheckResult<TInput, TOutput> result)
        {
            var objects = history.Select(operation => keyOf(operation.Input)).Distinct().Count();
            report.CountVerdict(result.Verdict, result.Verdict == Verdict.Linearizable ? objects : 1);
            if (result.Verdict != Verdict.NotLinearizable) return;
            var kept = string.Empty;
            if (keepsHistories)
            {
                kept = Path.Combine(Directory.CreateTempSubdirectory("raft-mirror-chaos-failure-").FullName, $"{result.Key}.txt");
                File.WriteAllLines(kept, history.Where(operation => keyOf(operation.Input) == result.Key).Select(operation => operation.ToString()));
            }

            report.Failures.Enqueue($"round {Number}: {result.Explain()}  its whole history: {kept}");
        }
    }
}
