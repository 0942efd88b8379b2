using System.Globalization;
using RaftMirror.Chaos.Driver;
using RaftMirror.Chaos.Node;

namespace RaftMirror.Chaos;

/// <summary>run [--seconds S] [--seed N] …; list. Exit codes: 0 nothing found, 1 something is wrong, 2 bad arguments. "node …" is how it starts
/// its nodes.</summary>
internal static class Program
{
    private const string Usage =
        "list | run [--seconds 60] [--seed 1] [--runs 1] [--nodes 3] [--clients 12] [--think MILLISECONDS] [--round SECONDS] [--longest MILLISECONDS]\n"
        + "           [--reads index|lease|mixed] [--faults all|none|NAME,NAME…] [--bug None|StaleReads|EarlyAcknowledgement|NoSessions]";

    private static async Task<int> Main(string[] args)
    {
        try
        {
            switch (args.FirstOrDefault())
            {
                case "node":
                    return await NodeHost.RunAsync(NodeSettings.Parse(args));
                case "list":
                    foreach (var kind in Nemesis.Kinds) Console.WriteLine(kind);
                    return 0;
                case "run":
                    return await RunAsync(Parse(args));
                default:
                    throw new ArgumentException("The first argument is list or run.");
            }
        }
        catch (Exception error) when (error is ArgumentException or FormatException or OverflowException)
        {
            await Console.Error.WriteLineAsync($"{error.Message}\n{Usage}");
            return 2;
        }
    }

    /// <summary>Seeds follow each other; with "mixed" every second run reads by lease.</summary>
    private static async Task<int> RunAsync(Dictionary<string, string> given)
    {
        var failed = 0;
        var (seed, runs) = (Number("--seed", 1), Number("--runs", 1));
        var reads = given.GetValueOrDefault("--reads", "index");
        if (reads is not ("index" or "lease" or "mixed")) throw new ArgumentException($"--reads {reads}");
        var faults = given.GetValueOrDefault("--faults", "all");
        string[] kinds = faults is "all" or "none" ? [] : faults.Split(',');
        if (kinds.Except(Nemesis.Kinds).FirstOrDefault() is { } wrong) throw new ArgumentException($"\"{wrong}\" is no fault; see list.");
        for (var run = 0; run < runs; run++)
        {
            var options = new ChaosOptions
            {
                Seed = (ulong)(seed + run),
                Duration = TimeSpan.FromSeconds(Number("--seconds", 60)),
                Round = TimeSpan.FromSeconds(Number("--round", 10)),
                Nodes = Number("--nodes", 3),
                Clients = Number("--clients", 12),
                ThinkMs = Number("--think", 25),
                LongestFaultMs = Number("--longest", 3000),
                LeaseReads = reads == "lease" || (reads == "mixed" && run % 2 == 1),
                Faults = kinds,
                IsCalm = faults == "none",
                Bug = Enum.Parse<Bug>(given.GetValueOrDefault("--bug", nameof(Bug.None))),
            };
            var report = await new ChaosRun(options, Console.WriteLine).RunAsync();
            Console.WriteLine(report.Describe());
            if (!report.Failures.IsEmpty) failed++;
        }

        return failed == 0 ? 0 : 1;

        int Number(string name, int otherwise) => given.TryGetValue(name, out var text) ? int.Parse(text, CultureInfo.InvariantCulture) : otherwise;
    }

    private static Dictionary<string, string> Parse(string[] args)
    {
        string[] known =
        [
            "--seconds", "--seed", "--runs", "--nodes", "--clients", "--think", "--round", "--longest", "--reads", "--faults", "--bug",
        ];
        var options = new Dictionary<string, string>(StringComparer.Ordinal);
        for (var i = 1; i < args.Length; i += 2)
        {
            if (!known.Contains(args[i]) || i + 1 == args.Length) throw new ArgumentException($"Unknown or incomplete option {args[i]}.");
            options[args[i]] = args[i + 1];
        }

        return options;
    }
}
