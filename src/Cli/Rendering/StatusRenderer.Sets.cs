using System.Globalization;
using RaftMirror.Contracts;

namespace RaftMirror.Cli.Rendering;

/// <summary>One disk set: cause and action in sentences, then the tree of volumes and submirrors.</summary>
internal static partial class StatusRenderer
{
    private static void WriteSetDetail(Terminal terminal, DisksetStatus set, bool onlyUnhealthy)
    {
        var joined = set.Nodes.Where(node => node.Joined).Select(node => node.Name).ToList();
        terminal.Out.WriteLine(
            $" diskset  {set.Name}   joined {(joined.Count == 0 ? "none" : string.Join(' ', joined))}   master {set.Master ?? "none"}");
        terminal.Out.WriteLine($"  health  {terminal.Paint(Word(set.Health), set.Health)}");
        terminal.Out.WriteLine($" fencing  {Fencing(set)}");
        foreach (var cause in set.Causes.Take(8))
        {
            terminal.Out.WriteLine($"   cause  {cause.Code}  {cause.Object}: {cause.Cause}");
            terminal.Out.WriteLine($"  action  {cause.Action}");
        }

        if (set.Causes.Count > 8) terminal.Out.WriteLine($"          and {set.Causes.Count - 8} more: raftmirror status {set.Name} -o json");
        var volumes = onlyUnhealthy ? [.. set.Volumes.Where(volume => volume.State != "okay")] : set.Volumes;
        if (volumes.Count > 0)
        {
            terminal.Out.WriteLine();
            WriteVolumes(terminal, volumes);
        }
    }

    private static string Fencing(DisksetStatus set)
    {
        var horizon = (set.HorizonMs / 1000.0).ToString("0.0##", CultureInfo.InvariantCulture);
        var safety = set.SafeAgainstPauses ? "" : " (not safe against pauses: no watchdog)";
        return set.Fencing == "none" ? "UNFENCED" : $"{set.Fencing}, horizon {horizon} s{safety}";
    }

    private static void WriteVolumes(Terminal terminal, IReadOnlyList<VolumeStatus> volumes)
    {
        // Progress lines stand between the table's rows, so the rows are laid out first and woven in afterwards.
        var table = new Table("VOLUME / LEG", "MADE OF", "STATE", ">SIZE", ">STALE", ">OPEN", "OWNER", "NOTE");
        var progress = new List<string?> { null };
        foreach (var volume in volumes)
        {
            table.AddPainted(
                2, volume.State, volume.Name, $"mirror, {volume.Submirrors.Count} {(volume.Submirrors.Count == 1 ? "leg" : "legs")}",
                Word(volume.State), Sizes.Format(volume.SizeBytes),
                volume.StaleRegions is { } stale ? Sizes.Count(stale) : "unknown",
                volume.OpenRegions is { } open ? Sizes.Count(open) : "unknown",
                Owner(volume), Note(volume));
            progress.Add(null);
            for (var i = 0; i < volume.Submirrors.Count; i++)
            {
                var leg = volume.Submirrors[i];
                var isLast = i == volume.Submirrors.Count - 1;
                var branch = terminal.HasUnicode ? isLast ? "└─ " : "├─ " : isLast ? "`- " : "|- ";
                table.AddPainted(2, leg.State, branch + leg.Name, string.Join(' ', leg.Disks), Word(leg.State), "", "", "", "", "");
                progress.Add(isLast && volume.Resync is { } resync ? ProgressLines(terminal, resync) : null);
            }
        }

        var buffer = new StringWriter { NewLine = "\n" };
        table.Write(terminal with { Out = buffer }, "  ");
        var lines = buffer.ToString().Split('\n');
        for (var i = 0; i < progress.Count; i++)
        {
            terminal.Out.WriteLine(lines[i]);
            if (progress[i] is { } text) terminal.Out.WriteLine(text);
        }
    }

    private static string Note(VolumeStatus volume)
    {
        var parts = new List<string>();
        if (volume.Recovery == "app") parts.Add("ABR");
        else if (volume.Writers == "all") parts.Add("all write");
        if (volume.ReadPinned) parts.Add("reads pinned to one leg");
        if (volume.Clients is > 0) parts.Add($"nbd, {volume.Clients} {(volume.Clients == 1 ? "client" : "clients")}");
        return string.Join("; ", parts);
    }

    private static string ProgressLines(Terminal terminal, ResyncStatus resync)
    {
        var what = resync.Kind switch
        {
            "submirror" => "submirror: full copy to a new leg",
            "component" => "component: replaced part",
            _ => "optimized: only what may differ",
        };
        var rate = resync.BytesPerSecond is { } speed ? $"{Sizes.Format(speed)}/s" : "rate unknown";
        var left = resync.EtaSeconds is { } eta ? $"{Sizes.Clock(eta)} left" : "time left unknown";
        var limit = resync.LimitedBy is { } by ? $"   limited by: {by}" : "";
        return $"     {what,-40}{Bar(terminal, resync)}  {Percent(resync)}\n"
            + $"     {Sizes.Format(resync.DoneBytes)} of {Sizes.Format(resync.TotalBytes)}  {rate}  {left}{limit}";
    }

    internal static string Bar(Terminal terminal, ResyncStatus resync)
    {
        var cells = resync.TotalBytes <= 0 ? 0 : (int)(Math.Clamp(resync.DoneBytes / (double)resync.TotalBytes, 0, 1) * BarCells);
        return terminal.HasUnicode
            ? $"[{new string('█', cells)}{new string('░', BarCells - cells)}]"
            : $"[{new string('=', cells)}{(cells < BarCells ? ">" : "")}{new string('.', Math.Max(0, BarCells - cells - 1))}]";
    }

    /// <summary>Work done of all work, 0 to 100; 100.0 only when nothing is left.</summary>
    internal static string Percent(ResyncStatus resync)
    {
        if (resync.TotalBytes <= 0) return "0.0 %";
        var tenths = Math.Clamp((long)(resync.DoneBytes / (double)resync.TotalBytes * 1000), 0, 1000);
        if (tenths == 1000 && resync.DoneBytes < resync.TotalBytes) tenths = 999;
        return string.Create(CultureInfo.InvariantCulture, $"{tenths / 10}.{tenths % 10} %");
    }

    private static string Eta(ResyncStatus resync) => resync.EtaSeconds is { } eta ? "," + Sizes.Short(eta) : "";

    private static bool IsTarget(SubmirrorReport leg) => leg.State is "resyncing" or "attached";

    private static string LegNote(VolumeStatus volume, SubmirrorReport leg) =>
        IsTarget(leg) && volume.Resync is { } resync
            ? $"({Percent(resync).Replace(" ", "", StringComparison.Ordinal)}{Eta(resync)})" : "";
}
