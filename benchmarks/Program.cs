using BenchmarkDotNet.Running;

namespace RaftMirror.Benchmarks;

/// <summary>`list` names the benchmarks, `NAME` runs those whose name contains it; anything else is BenchmarkDotNet's own.</summary>
internal static class Program
{
    private static void Main(string[] args)
    {
        string[] translated = args switch
        {
            ["list"] or [] => ["--list", "flat"],
            [var name, .. var rest] when !name.StartsWith('-') => ["--filter", $"*{name}*", .. rest],
            _ => args,
        };
        BenchmarkSwitcher.FromAssembly(typeof(Program).Assembly).Run(translated);
    }
}
