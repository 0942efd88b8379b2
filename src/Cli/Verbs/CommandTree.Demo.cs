using System.CommandLine;
using RaftMirror.Cli.CommandLine;
using RaftMirror.Cli.Demo;

namespace RaftMirror.Cli.Verbs;

/// <summary>The demo's options.</summary>
internal sealed partial class CommandTree
{
    private void AddDemo()
    {
        var once = new Option<bool>("--once") { Description = "Stop after the last step; exit 1 if a step failed." };
        var nodes = new Option<int>("--nodes") { HelpName = "N", DefaultValueFactory = _ => 3, Description = "Number of nodes, 3 to 7." };
        var directory = new Option<string>("--dir") { HelpName = "DIR", Description = "Where everything is kept; else a temporary folder." };
        var keep = new Option<bool>("--keep") { Description = "Leave the folder behind." };
        var script = new Option<string>("--script") { HelpName = "failover|abr|resync", Description = "The story that is told. Default failover." };
        Add(_root, new Command("demo", "Runs a cluster on this machine and shows what it survives.") { once, nodes, directory, keep, script }, async (parsed, context, token) =>
        {
            var count = parsed.GetValue(nodes);
            if (count is < 3 or > 7) throw CliFailure.Usage($"--nodes: {count} is not from 3 to 7.", "Fewer than three cannot lose one.");
            var folder = parsed.GetValue(directory) is { } text ? Path.GetFullPath(text) : null;
            if (folder is not null && Directory.Exists(folder) && Directory.EnumerateFileSystemEntries(folder).Any())
                throw CliFailure.Usage($"--dir: {folder} is not empty.", "The demo removes what it makes; give it a folder of its own.");
            var story = Arguments.Choice(
                parsed.GetValue(script) ?? "failover", "--script",
                ("failover", DemoScript.Failover), ("abr", DemoScript.Abr), ("resync", DemoScript.Resync));
            var options = new DemoOptions(story, count, folder, parsed.GetValue(once) || context.IsJson, parsed.GetValue(keep));
            return await DemoRunner.RunAsync(options, context.Terminal, context.IsJson, token);
        });
    }
}
