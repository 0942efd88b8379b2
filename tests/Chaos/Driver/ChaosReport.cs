using System.Collections.Concurrent;
using System.Text;
using RaftMirror.Linearizability;

namespace RaftMirror.Chaos.Driver;

/// <summary>What happened. Counters on any thread.</summary>
internal sealed class ChaosReport(ChaosOptions options)
{
    private readonly ConcurrentDictionary<string, int> _faults = new();
    private readonly ConcurrentDictionary<Verdict, int> _verdicts = new();
    private long _answered;
    private long _unknown;
    private long _refused;
    private long _twice;

    /// <summary>What is wrong; empty if nothing is.</summary>
    public ConcurrentQueue<string> Failures { get; } = new();

    public long Answered => Volatile.Read(ref _answered);

    public long Unknown => Volatile.Read(ref _unknown);

    /// <summary>Submissions of one command to two nodes at once.</summary>
    public long Twice => Volatile.Read(ref _twice);

    /// <summary>Commands that reached the state machine again, on one node.</summary>
    public long Repeats { get; set; }

    /// <summary>The last epoch: how many leaders were tried.</summary>
    public ulong Epoch { get; set; }

    public double Seconds { get; set; }

    public int FaultCount => _faults.Values.Sum();

    /// <summary>Histories of single objects whose checks ended so.</summary>
    public int Histories(Verdict verdict) => _verdicts.GetValueOrDefault(verdict);

    public int Faults(string kind) => _faults.GetValueOrDefault(kind);

    public void CountFault(string kind) => _faults.AddOrUpdate(kind, 1, (_, count) => count + 1);

    public void CountVerdict(Verdict verdict, int histories) => _verdicts.AddOrUpdate(verdict, histories, (_, count) => count + histories);

    public void CountTwice() => Interlocked.Increment(ref _twice);

    public void CountOutcome(ReplyKind outcome)
    {
        if (outcome == ReplyKind.Done) Interlocked.Increment(ref _answered);
        else if (outcome == ReplyKind.Unknown) Interlocked.Increment(ref _unknown);
        else Interlocked.Increment(ref _refused);
    }

    /// <summary>All of it, for people.</summary>
    public string Describe()
    {
        var text = new StringBuilder();
        text.Append($"seed {options.Seed}, {options.Nodes} nodes, {(options.LeaseReads ? "lease reads" : "ReadIndex")}");
        if (options.Bug != Node.Bug.None) text.Append($", bug {options.Bug}");
        text.Append($", {Seconds:0} s: {_answered} operations answered, {_unknown} unknown, {_refused} refused; ");
        text.Append($"{_twice} submitted twice at once, {Repeats} came again; epoch {Epoch}\n");
        text.Append($"  {FaultCount} faults: {string.Join(", ", _faults.OrderBy(fault => fault.Key).Select(fault => $"{fault.Value} {fault.Key}"))}\n");
        text.Append($"  histories: {Histories(Verdict.Linearizable)} linearizable, {Histories(Verdict.NotLinearizable)} not, ");
        text.Append($"{Histories(Verdict.Unknown)} unknown\n");
        foreach (var failure in Failures) text.Append($"  FAILED: {failure}\n");
        return text.ToString();
    }
}
