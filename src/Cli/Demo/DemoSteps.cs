using System.Diagnostics;
using RaftMirror.Cli.CommandLine;
using RaftMirror.Cli.Rendering;

namespace RaftMirror.Cli.Demo;

/// <summary>Runs steps one after the other, shows each, and keeps what was measured.</summary>
internal sealed class DemoSteps(Terminal terminal)
{
    private readonly List<DemoStep> _all = [];

    public IReadOnlyList<DemoStep> All => _all;

    /// <returns>True if the step went as promised.</returns>
    public async Task<bool> RunAsync(
        string title, Func<SortedDictionary<string, double>, Task<string>> step, CancellationToken cancellationToken)
    {
        var number = _all.Count;
        if (terminal.IsInteractive) terminal.Out.Write($" {number}  {title,-52} …");
        var figures = new SortedDictionary<string, double>(StringComparer.Ordinal);
        var clock = Stopwatch.StartNew();
        bool isOk;
        string result;
        try
        {
            result = await step(figures);
            isOk = true;
        }
        catch (Exception failure) when (
            failure is CliFailure or DemoFailedException or IOException or NbdErrorException
            || (failure is OperationCanceledException && !cancellationToken.IsCancellationRequested))
        {
            result = failure.Message;
            isOk = false;
        }

        figures["stepMs"] = clock.Elapsed.TotalMilliseconds;
        _all.Add(new DemoStep(number, title, isOk, result, figures));
        var word = isOk ? "ok" : "FAILED";
        if (terminal.IsInteractive) terminal.Out.Write("\r");
        terminal.Out.WriteLine($" {number}  {title,-52} {terminal.Paint(word, isOk ? "ok" : "failed"),-6} {result}");
        return isOk;
    }
}
