using System.CommandLine;
using System.Globalization;
using RaftMirror.Cli.CommandLine;
using RaftMirror.Cli.Rendering;
using RaftMirror.Contracts;

namespace RaftMirror.Cli.Verbs;

/// <summary>Disk sets and disks.</summary>
internal sealed partial class CommandTree
{
    private static Argument<string> SetArgument() => new("SET") { Description = "Disk set." };

    private void AddSet()
    {
        var group = AddGroup("set", "Disk sets: nodes that share disks.");
        var set = SetArgument();
        var nodes = new Option<string>("--nodes") { HelpName = "A,B,C", Required = true, Description = "Nodes of the set; they join by themselves." };
        var maxNodes = new Option<int>("--max-nodes") { HelpName = "N", DefaultValueFactory = _ => 16, Description = "Dirty-log slots on each disk." };
        var fencing = new Option<string>("--fencing") { HelpName = "lease", Description = "How lost nodes are kept from the disks." };
        var metadata = new Option<string>("--metadata") { HelpName = "SIZE", Description = "Metadata area on each disk. Default 64M." };
        var timeout = new Option<string>("--device-timeout") { HelpName = "TIME", Description = "Age of a disk's call from which the disk counts as lost; part of the fencing horizon. Default 5s." };
        Add(group, new Command("create", "Makes a disk set.") { set, nodes, maxNodes, fencing, metadata, timeout }, (parsed, context, token) =>
        {
            var name = Arguments.Name(parsed.GetRequiredValue(set), "disk set");
            var list = Arguments.NameList(parsed.GetRequiredValue(nodes), "node");
            var slots = parsed.GetValue(maxNodes);
            if (slots is < 1 or > 128) throw CliFailure.Usage($"--max-nodes: {slots} is not from 1 to 128.");
            if (list.Count > slots) throw CliFailure.Usage($"{list.Count} nodes need --max-nodes {list.Count} or more; it is {slots}.");
            var kind = Arguments.Choice(parsed.GetValue(fencing) ?? "lease", "--fencing", ("lease", FencingKind.Lease));
            long? area = parsed.GetValue(metadata) is { } text ? Arguments.Size(text, "--metadata") : null;
            long? deviceTimeoutMs = parsed.GetValue(timeout) is { } wait ? DeviceTimeout(wait) : null;
            return context.SubmitAsync(
                CommandTypes.CreateSet, new CreateSetOperation(name, list, slots, area, kind, deviceTimeoutMs), OperationJson.Default.CreateSetOperation,
                result => $"created disk set {name} of {string.Join(' ', list)} (index {result.Index}); next: raftmirror disk add {name} DISK PATH", token);
        });
        Add(group, new Command("list", "Lists disk sets."), async (_, context, token) =>
        {
            using var client = context.Connect();
            var document = await client.StatusAsync(null, null, stale: false, token);
            if (context.IsJson) context.WriteJson(document.Disksets, ReportJson.Indented.IReadOnlyListDisksetStatus);
            else WriteSetList(context.Terminal, document);
            return ExitCode.Ok;
        });
        var shown = SetArgument();
        Add(group, new Command("show", "Shows a disk set.") { shown }, (parsed, context, token) =>
            ShowStatusAsync(context, Arguments.Name(parsed.GetRequiredValue(shown), "disk set"), null, token));
        AddSetMember(group, "join", "Lets a node serve a set again.", CommandTypes.JoinSet, "joined");
        AddSetMember(group, "leave", "Takes a node out of a set: its clients go, ownership moves away.", CommandTypes.LeaveSet, "left");
    }

    private static long DeviceTimeout(string text)
    {
        if (!Durations.TryParse(text, out var time)) throw CliFailure.Usage($"--device-timeout: '{text}' is no time.", "Write 5s, 800ms or 1m.");
        return time >= TimeSpan.FromSeconds(1) && time <= TimeSpan.FromMinutes(5)
            ? (long)time.TotalMilliseconds
            : throw CliFailure.Usage($"--device-timeout: {text} is not from 1s to 5m.");
    }

    private void AddSetMember(Command group, string verb, string description, string type, string past)
    {
        var set = SetArgument();
        var node = new Option<string>("--member") { HelpName = "NODE", Description = "The node; else the one that answers." };
        Add(group, new Command(verb, description) { set, node }, async (parsed, context, token) =>
        {
            var name = Arguments.Name(parsed.GetRequiredValue(set), "disk set");
            var member = parsed.GetValue(node) is { } text ? Arguments.Name(text, "node") : null;
            if (member is null)
            {
                using var client = context.Connect();
                member = (await client.StatusAsync(null, null, stale: true, token)).AnsweredBy;
            }

            return await context.SubmitAsync(
                type, new SetMemberOperation(name, member), OperationJson.Default.SetMemberOperation,
                result => $"node {member} {past} {name} (index {result.Index})", token);
        });
    }

    private void AddDisk()
    {
        var group = AddGroup("disk", "Disks of a set.");
        var set = SetArgument();
        var disk = new Argument<string>("DISK") { Description = "Name in the set." };
        var path = new Argument<string>("PATH") { Description = "File or block device, the same on all nodes unless --path says otherwise." };
        var paths = new Option<string>("--path") { HelpName = "NODE=PATH,…", Description = "Where the path differs." };
        var direct = new Option<string>("--io") { HelpName = "direct|cached", Description = "O_DIRECT, or the page cache where all nodes are on one host." };
        var overwrite = new Option<bool>("--overwrite")
        {
            Description = "Takes a disk that holds something else, which is lost. See what that is with --dry-run first.",
        };
        var add = new Command("add", "Labels a blank disk and adds it to a set.") { set, disk, path, paths, direct, overwrite };
        Add(group, add, (parsed, context, token) =>
        {
            var name = Arguments.Name(parsed.GetRequiredValue(set), "disk set");
            var diskName = Arguments.Name(parsed.GetRequiredValue(disk), "disk");
            var where = parsed.GetRequiredValue(path);
            if (!Path.IsPathRooted(where)) where = Path.GetFullPath(where);
            var others = ParsePaths(parsed.GetValue(paths));
            bool? io = parsed.GetValue(direct) is { } text ? Arguments.Choice(text, "--io", ("direct", true), ("cached", false)) : null;
            return context.SubmitAsync(
                CommandTypes.AddDisk, new AddDiskOperation(name, diskName, where, others, io, parsed.GetValue(overwrite) ? true : null),
                OperationJson.Default.AddDiskOperation, result => $"added disk {name}/{diskName}, {where} (index {result.Index})", token);
        });
        AddDiskPath(group);
        var listed = new Argument<string?>("SET") { Arity = ArgumentArity.ZeroOrOne, Description = "Disk set; else all." };
        Add(group, new Command("list", "Lists disks.") { listed }, async (parsed, context, token) =>
        {
            var name = parsed.GetValue(listed) is { } text ? Arguments.Name(text, "disk set") : null;
            using var client = context.Connect();
            var document = await client.StatusAsync(name, null, stale: false, token);
            if (context.IsJson)
            {
                context.WriteJson([.. document.Disksets.SelectMany(item => item.Disks)], ReportJson.Indented.IReadOnlyListDiskReport);
                return ExitCode.Ok;
            }

            var table = new Table("DISK", "STATE", ">SIZE", ">FREE", "PATH");
            foreach (var item in document.Disksets)
            {
                foreach (var entry in item.Disks)
                {
                    var distinct = entry.Paths.Values.Distinct().ToList();
                    table.AddPainted(
                        1, entry.State, $"{item.Name}/{entry.Name}", StatusRenderer.Word(entry.State), Sizes.Format(entry.SizeBytes),
                        entry.FreeBytes is { } free ? Sizes.Format(free) : "-",
                        distinct.Count == 1 ? distinct[0] : string.Join(' ', entry.Paths.Select(pair => $"{pair.Key}={pair.Value}")));
                }
            }

            table.Write(context.Terminal);
            return ExitCode.Ok;
        });
    }

    private void AddDiskPath(Command group)
    {
        var set = SetArgument();
        var disk = new Argument<string>("DISK") { Description = "Name in the set." };
        var path = new Option<string>("--path")
        {
            HelpName = "[NODE=]PATH,…",
            Required = true,
            Description = "Where it is now: on all nodes, or on those that are named.",
        };
        Add(group, new Command("set", "Tells where a disk is, after its path has changed.") { set, disk, path }, (parsed, context, token) =>
        {
            var name = Arguments.Name(parsed.GetRequiredValue(set), "disk set");
            var diskName = Arguments.Name(parsed.GetRequiredValue(disk), "disk");
            var items = parsed.GetRequiredValue(path).Split(',');
            var forAll = items.Where(static item => item.StartsWith('/')).ToList();
            if (forAll.Count > 1) throw CliFailure.Usage($"--path: {forAll[0]} and {forAll[1]} cannot both be the path on all nodes.", "Name nodes: NODE=PATH,…");
            var named = items.Where(static item => !item.StartsWith('/')).ToList();
            var others = ParsePaths(named.Count == 0 ? null : string.Join(',', named));
            return context.SubmitAsync(
                CommandTypes.SetDisk, new SetDiskOperation(name, diskName, forAll.FirstOrDefault(), others), OperationJson.Default.SetDiskOperation,
                result => $"disk {name}/{diskName} is now looked for at {string.Join(' ', items)} (index {result.Index})", token);
        });
    }

    private static SortedDictionary<string, string> ParsePaths(string? text)
    {
        var paths = new SortedDictionary<string, string>(StringComparer.Ordinal);
        foreach (var item in text?.Split(',') ?? [])
        {
            var equals = item.IndexOf('=');
            if (equals <= 0 || equals == item.Length - 1) throw CliFailure.Usage($"--path: '{item}' is not NODE=PATH.");
            var where = item[(equals + 1)..];
            if (!Path.IsPathRooted(where)) throw CliFailure.Usage($"--path: '{where}' is not an absolute path.");
            if (!paths.TryAdd(Arguments.Name(item[..equals], "node"), where)) throw CliFailure.Usage($"--path: {item[..equals]} is named twice.");
        }

        return paths;
    }

    private static void WriteSetList(Terminal terminal, StatusDocument document)
    {
        var table = new Table("DISKSET", "STATE", "MASTER", "FENCING", "NODES", ">DISKS", ">VOLS");
        foreach (var set in document.Disksets)
        {
            table.AddPainted(
                1, set.Health, set.Name, StatusRenderer.Word(set.Health), set.Master ?? "-", set.Fencing,
                string.Join(' ', set.Nodes.Select(node => node.Joined ? node.Name : $"({node.Name})")),
                set.Disks.Count.ToString(CultureInfo.InvariantCulture), set.Volumes.Count.ToString(CultureInfo.InvariantCulture));
        }

        table.Write(terminal);
    }
}
