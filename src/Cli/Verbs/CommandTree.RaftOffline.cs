using System.CommandLine;
using RaftMirror.Cli.CommandLine;
using RaftMirror.Cli.Rendering;
using RaftMirror.Consensus.Node;
using RaftMirror.Consensus.Offline;
using RaftMirror.Contracts;
using RaftMirror.Node.Peers;
using RaftMirror.Node.Status;

namespace RaftMirror.Cli.Verbs;

/// <summary>The data directory of a node that does not run.</summary>
internal sealed partial class CommandTree
{
    private void AddRaftOffline(Command group)
    {
        var inspected = DataOption();
        var entries = new Option<int>("--entries") { HelpName = "N", Description = "Also the last N entries." };
        var frames = new Option<bool>("--frames") { Description = "Also every frame: where it lies, what it holds." };
        Add(group, new Command("inspect", "Shows what a stopped node's files say. Changes nothing.") { inspected, entries, frames }, (parsed, context, _) =>
        {
            var directory = DataOf(parsed, inspected);
            var most = parsed.GetValue(entries);
            if (most < 0) throw CliFailure.Usage($"--entries: {most} is less than 0.");
            var node = Offline(() => OfflineNode.Inspect(directory, most, parsed.GetValue(frames)));
            var report = new RaftInspectReport(node.Names.GetValueOrDefault(node.NodeId) ?? NameOf(directory, node.NodeId), node) { Entries = [.. node.Entries.Select(entry => ShownOf(entry, node, directory))] };
            if (context.IsJson) context.WriteJson(report, ReportJson.Indented.RaftInspectReport);
            else
            {
                RaftRenderer.WriteInspection(context.Terminal, report);
                if (report.Entries.Count > 0) context.Terminal.Out.WriteLine();
                RaftRenderer.WriteEntries(context.Terminal, report.Entries, "  ");
            }

            return Task.FromResult(ExitCode.Ok);
        });

        var verified = DataOption();
        Add(group, new Command("verify", "Judges a stopped node's files: exit 0 if nothing durable is missing, 1 if it is. Changes nothing.") { verified }, (parsed, context, _) =>
        {
            var directory = DataOf(parsed, verified);
            var node = Offline(() => OfflineNode.Inspect(directory));
            var report = new RaftVerifyReport(
                directory, node.Verdict, node.Verdict != OfflineVerdict.Damaged && !node.IsRecoveryPending, node.Damage, node.LastIndex, node.CutFrames);
            if (context.IsJson) context.WriteJson(report, ReportJson.Indented.RaftVerifyReport);
            else context.Terminal.Out.WriteLine($"{RaftRenderer.VerdictOf(context.Terminal, report.Verdict)}  {RaftRenderer.Sentence(report)}");
            return Task.FromResult(node.Verdict is OfflineVerdict.Intact or OfflineVerdict.TornTail ? ExitCode.Ok : ExitCode.ConditionFalse);
        });

        var recovered = DataOption();
        var to = new Option<string>("--to") { HelpName = "DIR", Required = true, Description = "The new data directory; must not exist." };
        var reason = new Option<string>("--reason") { HelpName = "TEXT", Required = true, Description = "Why; it is kept in the receipt." };
        var confirm = new Option<string>("--confirm") { HelpName = "NODE", Description = "The node's name, to say that its old cluster is gone for good." };
        Add(group, new Command(
            "recover", "Disaster recovery: makes a new cluster of one node from what its log still holds. The old directory is only read. It leads out for the log: disks that are newer than what the log holds stay refused.")
        { recovered, to, reason, confirm }, (parsed, context, _) =>
        {
            var target = Path.GetFullPath(parsed.GetRequiredValue(to));
            return Task.FromResult(Recover(
                context, DataOf(parsed, recovered), target, parsed.GetRequiredValue(reason), parsed.GetValue(confirm)));
        });
    }

    private static ExitCode Recover(CliContext context, string directory, string target, string reason, string? confirmed)
    {
        if (string.IsNullOrWhiteSpace(reason)) throw CliFailure.Usage("--reason: say why; it is kept in the receipt.");
        var before = Offline(() => OfflineNode.Inspect(directory));
        var name = before.Names.GetValueOrDefault(before.NodeId) ?? NameOf(directory, before.NodeId) ?? $"node-{before.NodeId}";
        if (confirmed is not null && confirmed != name)
            throw CliFailure.Usage($"--confirm: {directory} is of node '{name}', not of '{confirmed}'.");
        if (confirmed is null && !context.IsDryRun)
        {
            throw new CliFailure(ExitCode.Refused, new Problem
            {
                Title = "Not confirmed",
                Status = 409,
                Detail = $"This would make a new cluster of '{name}' alone in {target}, from entries up to {Math.Max(before.LastIndex, before.Snapshots.Where(snapshot => snapshot.Damage is null).Select(snapshot => snapshot.Index).DefaultIfEmpty().Max())} ({before.Verdict}, known to be committed up to {before.Commit}). "
                    + "Commands that only other nodes had are lost, and entries that were never acknowledged count as done. "
                    + "Disks that are newer than these entries stay refused, with their data. "
                    + $"The other members ({before.Members}) must never run again with their old directories.",
                Code = "notConfirmed",
                Applied = "no",
                Help = $"Make sure that no old member runs or ever will, recover the node with the highest entry, then repeat with --confirm {name}.",
            });
        }

        if (context.IsDryRun)
        {
            var plan = new RaftInspectReport(name, before);
            if (context.IsJson) context.WriteJson(plan, ReportJson.Indented.RaftInspectReport);
            else
            {
                context.Terminal.Out.WriteLine($"dry run: {target} would be a cluster of {name} alone, from this; nothing was written");
                context.Terminal.Out.WriteLine();
                RaftRenderer.WriteInspection(context.Terminal, plan);
            }

            return ExitCode.Ok;
        }

        var recovery = Offline(() => OfflineNode.Recover(
            directory, target, reason, DateTimeOffset.UtcNow, _ => name,
            (part, result) => new FirstStart(result.ClusterName, null, [new FirstMember(name, result.NodeId, result.Address)]).Save(part)));
        if (context.IsJson)
        {
            context.WriteJson(new RaftRecoverReport(name, recovery), ReportJson.Indented.RaftRecoverReport);
            return ExitCode.Ok;
        }

        var terminal = context.Terminal.Out;
        terminal.WriteLine($"recovered  node {name}, number {recovery.NodeId}, is a cluster of its own in {recovery.Directory}");
        terminal.WriteLine($"     kept  entries up to {recovery.KeptLastIndex} (known to be committed up to {recovery.KeptCommit})");
        if (recovery.WasDamaged)
            terminal.WriteLine($"     lost  {recovery.LostKnownDurableFrames} frames that were durable; acknowledged commands may be among them");
        terminal.WriteLine($"  cluster  {recovery.NewClusterId}; members of {recovery.OldClusterId} are refused from now on");
        terminal.WriteLine($"  receipt  {Path.Combine(recovery.Directory, "raft", "receipt.json")}");
        terminal.WriteLine($"     next  raftmirror node run --name {name} --data {recovery.Directory} --peer {recovery.Address} --api … --nbd …");
        return ExitCode.Ok;
    }

    private static Option<string> DataOption() => new("--data") { HelpName = "DIR", Required = true, Description = "The node's data directory." };

    private static string DataOf(ParseResult parsed, Option<string> option)
    {
        var directory = Path.GetFullPath(parsed.GetRequiredValue(option));
        return Directory.Exists(directory) ? directory : throw CliFailure.NotFound($"There is no directory {directory}.");
    }

    private static T Offline<T>(Func<T> look)
    {
        try
        {
            return look();
        }
        catch (Exception failure) when (failure is InvalidOperationException or ArgumentException or IOException or UnauthorizedAccessException or InvalidDataException)
        {
            throw new CliFailure(ExitCode.Refused, new Problem
            {
                Title = "The data directory cannot be used",
                Status = 409,
                Detail = failure.Message,
                Code = "cannotUseDirectory",
                Applied = "no",
                Help = "Stop the node if it runs, and name its --data directory.",
            });
        }
    }

    /// <summary>The name that the directory knows for a number; null if it has none.</summary>
    private static string? NameOf(string directory, ushort id)
    {
        try
        {
            return FirstStart.Exists(directory) ? FirstStart.Load(directory).Members.FirstOrDefault(member => member.Id == id)?.Name : null;
        }
        catch (InvalidDataException)
        {
            return null; // Names are for people only; the numbers stand elsewhere.
        }
    }

    private static RaftLogEntry ShownOf(LogEntryView entry, OfflineReport node, string directory) => LogEntries.Shown(
        entry, node.Commit, proposer => node.Names.GetValueOrDefault(proposer) ?? NameOf(directory, proposer));
}
