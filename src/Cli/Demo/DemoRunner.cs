using RaftMirror.Cli.CommandLine;
using RaftMirror.Cli.Rendering;
using RaftMirror.Contracts;

namespace RaftMirror.Cli.Demo;

/// <summary>Builds the cluster, tells the story, takes everything away again.</summary>
internal static class DemoRunner
{
    public static async Task<ExitCode> RunAsync(DemoOptions options, Terminal terminal, bool isJson, CancellationToken cancellationToken)
    {
        var directory = options.Directory is { } given
            ? Directory.CreateDirectory(given).FullName
            : Directory.CreateTempSubdirectory("raftmirror-demo-").FullName;
        try
        {
            using var cluster = new DemoCluster(directory, options.Nodes);
            var steps = new DemoSteps(isJson ? terminal with { Out = TextWriter.Null } : terminal);
            var isUp = await BuildAsync(cluster, options, steps, cancellationToken);
            if (isUp)
            {
                WriteHeader(terminal, isJson, cluster, options, directory);
                await DemoStories.TellAsync(options.Script, cluster, steps, cancellationToken);
            }

            var report = new DemoReport
            {
                Script = options.Script.ToString().ToLowerInvariant(),
                Nodes = options.Nodes,
                Directory = directory,
                Ok = steps.All.All(step => step.Ok),
                Steps = steps.All,
            };
            if (isJson) terminal.Out.WriteLine(System.Text.Json.JsonSerializer.Serialize(report, ReportJson.Indented.DemoReport));
            else terminal.Out.WriteLine($"\n {steps.All.Count(step => step.Ok)} of {steps.All.Count} steps ok");
            if (!report.Ok) terminal.Error.WriteLine($"raftmirror: a step failed; the nodes' logs are {(options.IsKept ? directory : "shown with --keep")}");
            if (!options.IsOnce && isUp)
            {
                terminal.Out.WriteLine(" Still running. Ctrl-C stops and removes it; --keep keeps the files.");
                await Task.Delay(Timeout.Infinite, cancellationToken).ContinueWith(
                    _ => { }, CancellationToken.None, TaskContinuationOptions.None, TaskScheduler.Default);
            }

            return report.Ok ? ExitCode.Ok : ExitCode.ConditionFalse;
        }
        finally
        {
            if (!options.IsKept) Directory.Delete(directory, recursive: true);
        }
    }

    private static Task<bool> BuildAsync(DemoCluster cluster, DemoOptions options, DemoSteps steps, CancellationToken token) =>
        steps.RunAsync("start the nodes, make set, disks and mirror", async figures =>
        {
            foreach (var node in cluster.Nodes) cluster.Start(node);
            var (_, waited) = await cluster.WaitAsync(
                "all nodes up", document => document.Leader is not null && document.Nodes.Count(node => node.State == "up") == options.Nodes, token);
            await cluster.SubmitAsync(
                CommandTypes.CreateSet,
                new CreateSetOperation(
                    DemoCluster.Set, [.. cluster.Nodes.Select(node => node.Name)], 16, null, FencingKind.Lease),
                OperationJson.Default.CreateSetOperation, token, cluster.Nodes[0]);
            await cluster.WaitAsync("all nodes joined", document => DemoCluster.SetOf(document)?.Nodes.All(node => node.Joined) == true, token);
            foreach (var (name, path) in cluster.Disks)
            {
                await cluster.SubmitAsync(
                    CommandTypes.AddDisk,
                    new AddDiskOperation(DemoCluster.Set, name, path, new SortedDictionary<string, string>(StringComparer.Ordinal), null),
                    OperationJson.Default.AddDiskOperation, token, cluster.Nodes[0]);
            }

            var isAbr = options.Script == DemoScript.Abr;
            await cluster.SubmitAsync(
                CommandTypes.CreateMirror,
                new CreateMirrorOperation(
                    DemoCluster.Set, DemoCluster.Volume, DemoCluster.VolumeBytes, ["disk0", "disk1"],
                    isAbr ? RecoveryMode.App : RecoveryMode.Log,
                    isAbr ? WriterMode.All : WriterMode.One,
                    ReadPolicy.RoundRobin, WriteMode.Parallel, 1, 1 << 20),
                OperationJson.Default.CreateMirrorOperation, token, cluster.Nodes[0]);
            await cluster.WaitAsync("the mirror is okay", DemoCluster.IsSynced, token);
            figures["nodesUpMs"] = waited.TotalMilliseconds;
            return $"{options.Nodes} nodes up after {waited.TotalSeconds:0.0} s";
        }, token);

    private static void WriteHeader(Terminal terminal, bool isJson, DemoCluster cluster, DemoOptions options, string directory)
    {
        if (isJson) return;
        var a = cluster.Nodes[0];
        terminal.Out.WriteLine(
            $"\n raftmirror demo   {options.Nodes} nodes, 3 shared disks of 256.0M, mirror {DemoCluster.Export} (2 legs)   everything under {directory}");
        terminal.Out.WriteLine($" try it   nbdinfo nbd://{a.Nbd}/{DemoCluster.Export}");
        terminal.Out.WriteLine($"          qemu-io -f raw -c 'read 0 64k' nbd://{a.Nbd}/{DemoCluster.Export}");
        terminal.Out.WriteLine($"          raftmirror --node {a.Api} status {DemoCluster.Set}\n");
    }
}
