using System.CommandLine;
using System.Globalization;
using System.Numerics;
using RaftMirror.Cli.CommandLine;
using RaftMirror.Cli.Rendering;
using RaftMirror.Contracts;

namespace RaftMirror.Cli.Verbs;

/// <summary>Mirrors and submirrors.</summary>
internal sealed partial class CommandTree
{
    private const int MinRegionBytes = 64 << 10;
    private const int MaxRegionBytes = 64 << 20;

    private static Argument<string> VolumeArgument() => new("SET/VOLUME") { Description = "Volume." };

    private void AddMirror()
    {
        var group = AddGroup("mirror", "Mirrored volumes.");
        var volume = VolumeArgument();
        var size = new Option<string>("--size") { HelpName = "SIZE", Required = true, Description = "Size that clients see, whole MiB." };
        var on = new Option<string>("--on") { HelpName = "DISK,DISK[,…]", Required = true, Description = "One submirror on each disk, one to four." };
        var recovery = new Option<string>("--recovery") { HelpName = "log|app", Description = "Dirty-region log, or the application (ABR). Default log." };
        var writers = new Option<string>("--writers") { HelpName = "one|all", Description = "One owner at a time, or every node at once. Default one; app: all." };
        var read = new Option<string>("--read") { HelpName = "roundrobin|geometric|first", Description = "Which submirror answers. Default roundrobin." };
        var write = new Option<string>("--write") { HelpName = "parallel|serial", Description = "How submirrors are written. Default parallel." };
        var pass = new Option<int>("--pass") { HelpName = "0-9", DefaultValueFactory = _ => 1, Description = "Order of resyncs; 0 never." };
        var region = new Option<string>("--region") { HelpName = "SIZE", Description = "Dirty-region size, a power of two. Default 1M." };
        Add(group, new Command("create", "Makes a mirror.") { volume, size, on, recovery, writers, read, write, pass, region }, (parsed, context, token) =>
        {
            var (set, name) = Arguments.Volume(parsed.GetRequiredValue(volume));
            var operation = new CreateMirrorOperation(
                set, name,
                Arguments.Size(parsed.GetRequiredValue(size), "--size"),
                Arguments.NameList(parsed.GetRequiredValue(on), "disk"),
                Arguments.Choice(parsed.GetValue(recovery) ?? "log", "--recovery", ("log", RecoveryMode.Log), ("app", RecoveryMode.App)),
                Arguments.Choice(
                    parsed.GetValue(writers) ?? (parsed.GetValue(recovery) == "app" ? "all" : "one"),
                    "--writers", ("one", WriterMode.One), ("all", WriterMode.All)),
                Arguments.Choice(
                    parsed.GetValue(read) ?? "roundrobin", "--read",
                    ("roundrobin", ReadPolicy.RoundRobin), ("geometric", ReadPolicy.Geometric), ("first", ReadPolicy.First)),
                Arguments.Choice(parsed.GetValue(write) ?? "parallel", "--write", ("parallel", WriteMode.Parallel), ("serial", WriteMode.Serial)),
                parsed.GetValue(pass),
                (int)Math.Min(int.MaxValue, Arguments.Size(parsed.GetValue(region) ?? "1M", "--region")));
            CheckMirror(operation);
            return context.SubmitAsync(
                CommandTypes.CreateMirror, operation, OperationJson.Default.CreateMirrorOperation,
                result => $"created mirror {set}/{name}, {Sizes.Format(operation.SizeBytes)} on {string.Join(' ', operation.Disks)} (index {result.Index})",
                token);
        });
        AddMirrorList(group);
        var shown = VolumeArgument();
        Add(group, new Command("show", "Shows a mirror.") { shown }, (parsed, context, token) =>
        {
            var (set, name) = Arguments.Volume(parsed.GetRequiredValue(shown));
            return ShowStatusAsync(context, set, name, token);
        });
        var deleted = VolumeArgument();
        Add(group, new Command("delete", "Deletes a mirror and its data: its clients go first.") { deleted }, (parsed, context, token) =>
        {
            var (set, name) = Arguments.Volume(parsed.GetRequiredValue(deleted));
            return DeleteMirrorAsync(context, set, name, token);
        });
        AddMirrorRecovered(group);
        AddSubmirror();
    }

    private void AddMirrorRecovered(Command group)
    {
        var volume = VolumeArgument();
        var asOf = new Option<ulong?>("--as-of")
        {
            HelpName = "INDEX",
            Description = "Refuse if a writer died after this log index: the one that status showed when the repair began.",
        };
        var command = new Command(
            "recovered", "Says that the application has repaired an ABR mirror after writers crashed: reads use every submirror again.") { volume, asOf };
        Add(group, command, (parsed, context, token) =>
        {
            var (set, name) = Arguments.Volume(parsed.GetRequiredValue(volume));
            return context.SubmitAsync(
                CommandTypes.MarkRecovered, new MarkRecoveredOperation(set, name, parsed.GetValue(asOf)), OperationJson.Default.MarkRecoveredOperation,
                result => $"{set}/{name} is recovered: reads use every submirror again (index {result.Index})", token);
        });
    }

    private static void CheckMirror(CreateMirrorOperation mirror)
    {
        if (mirror.SizeBytes % (1 << 20) != 0) throw CliFailure.Usage($"--size: {mirror.SizeBytes} bytes is not a multiple of 1M.");
        if (mirror.Disks.Count is < 1 or > 4) throw CliFailure.Usage($"--on: {mirror.Disks.Count} disks; a mirror has one to four submirrors.");
        if (mirror is { Recovery: RecoveryMode.App, Writers: WriterMode.One })
            throw CliFailure.Usage("--recovery app wants --writers all.", "An ABR mirror is written by every node at once.");
        if (mirror.Pass is < 0 or > 9) throw CliFailure.Usage($"--pass: {mirror.Pass} is not from 0 to 9.");
        if (!BitOperations.IsPow2(mirror.RegionBytes) || mirror.RegionBytes is < MinRegionBytes or > MaxRegionBytes)
            throw CliFailure.Usage($"--region: {mirror.RegionBytes} is not a power of two from 64K to 64M.");
    }

    private void AddMirrorList(Command group)
    {
        var listed = new Argument<string?>("SET") { Arity = ArgumentArity.ZeroOrOne, Description = "Disk set; else all." };
        Add(group, new Command("list", "Lists mirrors.") { listed }, async (parsed, context, token) =>
        {
            var name = parsed.GetValue(listed) is { } text ? Arguments.Name(text, "disk set") : null;
            using var client = context.Connect();
            var document = await client.StatusAsync(name, null, stale: false, token);
            if (context.IsJson)
            {
                context.WriteJson([.. document.Disksets.SelectMany(set => set.Volumes)], ReportJson.Indented.IReadOnlyListVolumeStatus);
                return ExitCode.Ok;
            }

            var table = new Table("VOLUME", "STATE", ">SIZE", ">LEGS", "RECOVERY", "WRITERS", ">REGION", "OWNER");
            foreach (var set in document.Disksets)
            {
                foreach (var volume in set.Volumes)
                {
                    table.AddPainted(
                        1, volume.State, $"{set.Name}/{volume.Name}", StatusRenderer.Word(volume.State), Sizes.Format(volume.SizeBytes),
                        volume.Submirrors.Count.ToString(CultureInfo.InvariantCulture), volume.Recovery, volume.Writers,
                        Sizes.Format(volume.RegionBytes), StatusRenderer.Owner(volume));
                }
            }

            table.Write(context.Terminal);
            return ExitCode.Ok;
        });
    }

    /// <summary>Deletion is committed first; the volume vanishes once every joined node has left it.</summary>
    private static async Task<ExitCode> DeleteMirrorAsync(CliContext context, string set, string name, CancellationToken token)
    {
        using var client = context.Connect();
        var request = context.Request(
            CommandTypes.DeleteMirror, new DeleteMirrorOperation(set, name), OperationJson.Default.DeleteMirrorOperation);
        var result = await client.SubmitAsync(request, token);
        if (result.Outcome == ApiOutcome.Applied)
        {
            var gone = await Waiting.UntilAsync(
                client, context.Timeout ?? TimeSpan.FromSeconds(30),
                document => document.Disksets.All(item => item.Name != set || item.Volumes.All(volume => volume.Name != name)), token);
            if (!gone.Holds)
            {
                throw new CliFailure(ExitCode.WaitTimedOut, new Problem
                {
                    Title = "Still being deleted",
                    Status = 504,
                    Detail = $"The deletion of {set}/{name} is committed, but not every node has left the volume yet.",
                    Code = "deleting",
                    Applied = "yes",
                    Help = $"It goes on by itself; see raftmirror status {set}.",
                });
            }
        }

        context.WriteResult(result, _ => $"deleted mirror {set}/{name} (index {result.Index})");
        return ExitCode.Ok;
    }

    private void AddSubmirror()
    {
        var group = AddGroup("submirror", "The sides of a mirror.");
        var listed = VolumeArgument();
        Add(group, new Command("list", "Lists a mirror's submirrors.") { listed }, async (parsed, context, token) =>
        {
            var (set, name) = Arguments.Volume(parsed.GetRequiredValue(listed));
            using var client = context.Connect();
            var volume = (await client.StatusAsync(set, name, stale: false, token)).Disksets[0].Volumes[0];
            if (context.IsJson)
            {
                context.WriteJson(volume.Submirrors, ReportJson.Indented.IReadOnlyListSubmirrorReport);
                return ExitCode.Ok;
            }

            var table = new Table("SUBMIRROR", "STATE", "DISKS");
            foreach (var leg in volume.Submirrors)
                table.AddPainted(1, leg.State, leg.Name, StatusRenderer.Word(leg.State), string.Join(' ', leg.Disks));
            table.Write(context.Terminal);
            return ExitCode.Ok;
        });
        var mapped = VolumeArgument();
        Add(group, new Command("map", "Shows where each submirror's bytes lie on the raw disks.") { mapped }, async (parsed, context, token) =>
        {
            var (set, name) = Arguments.Volume(parsed.GetRequiredValue(mapped));
            using var client = context.Connect();
            var map = await client.MapAsync(set, name, token);
            if (context.IsJson)
            {
                context.WriteJson(map, ApiJson.Indented.IReadOnlyListSubmirrorMap);
                return ExitCode.Ok;
            }

            var table = new Table("SUBMIRROR", "DISK", ">DISK OFFSET", ">VOLUME OFFSET", ">LENGTH", "PATH");
            foreach (var leg in map)
            {
                foreach (var extent in leg.Extents)
                {
                    table.Add(
                        leg.Submirror, extent.Disk, extent.DiskOffsetBytes.ToString(CultureInfo.InvariantCulture),
                        extent.VolumeOffsetBytes.ToString(CultureInfo.InvariantCulture),
                        extent.LengthBytes.ToString(CultureInfo.InvariantCulture), extent.Path);
                }
            }

            table.Write(context.Terminal);
            return ExitCode.Ok;
        });
    }
}
