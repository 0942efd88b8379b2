using System.Globalization;
using RaftMirror.Contracts;

namespace RaftMirror.Cli.Rendering;

/// <summary>Shows a status document to people. It decides nothing: every word comes from the document.</summary>
internal static partial class StatusRenderer
{
    private const int BarCells = 40;

    /// <summary>The whole cluster: one line for each set and node, then each set in detail.</summary>
    public static void Write(Terminal terminal, StatusDocument document, bool onlyUnhealthy = false)
    {
        var sets = onlyUnhealthy ? [.. document.Disksets.Where(set => set.Health != "okay")] : document.Disksets;
        var badNodes = document.Nodes.Where(node => IsMissed(node) || node.ClockWrong).ToList();
        if (onlyUnhealthy && sets.Count == 0 && badNodes.Count == 0 && document.Leader is not null)
        {
            terminal.Out.WriteLine("everything is okay");
            return;
        }

        WriteCluster(terminal, document);
        terminal.Out.WriteLine();
        WriteSetTable(terminal, sets);
        terminal.Out.WriteLine();
        WriteNodeTable(terminal, document, onlyUnhealthy ? badNodes : document.Nodes);
        foreach (var set in sets)
        {
            terminal.Out.WriteLine();
            WriteSetDetail(terminal, set, onlyUnhealthy);
        }
    }

    /// <summary>One or more sets in detail, with the view line.</summary>
    public static void WriteSets(Terminal terminal, StatusDocument document, bool onlyUnhealthy = false)
    {
        var isFirst = true;
        foreach (var set in document.Disksets.Where(set => !onlyUnhealthy || set.Health != "okay"))
        {
            if (!isFirst) terminal.Out.WriteLine();
            isFirst = false;
            WriteSetDetail(terminal, set, onlyUnhealthy);
        }

        if (isFirst) terminal.Out.WriteLine("everything is okay");
        else terminal.Out.WriteLine($"{"view",8}  {View(document)}");
    }

    /// <summary>One line for each volume; columns are stable, so grep and awk may rely on them.</summary>
    public static void WriteCompact(Terminal terminal, StatusDocument document, bool onlyUnhealthy = false)
    {
        foreach (var set in document.Disksets)
        {
            foreach (var volume in set.Volumes.Where(volume => !onlyUnhealthy || volume.State != "okay"))
            {
                var legs = volume.Submirrors.Select(leg => $"{leg.Name}:{Word(leg.State)}{LegNote(volume, leg)}");
                var note = volume.Resync is { } resync && !volume.Submirrors.Any(leg => IsTarget(leg))
                    ? $" {resync.Kind}({Percent(resync).Replace(" ", "", StringComparison.Ordinal)}{Eta(resync)})" : "";
                terminal.Out.WriteLine(
                    $"{set.Name}/{volume.Name} {volume.Kind} {terminal.Paint(Word(volume.State), volume.State)} "
                    + $"{Sizes.Format(volume.SizeBytes)} {Owner(volume)} {string.Join(' ', legs)}{note}");
            }
        }
    }

    /// <summary>okay → Okay, lastErred → Last Erred: Solaris' words.</summary>
    public static string Word(string word) => word switch
    {
        "lastErred" => "LastErred",
        "" => "",
        _ => char.ToUpperInvariant(word[0]) + word[1..],
    };

    public static string Owner(VolumeStatus volume) => volume.Owner is not { } owner ? "-"
        : owner.MovingTo is { } to ? $"{owner.Node}@{owner.Epoch}->{to}" : $"{owner.Node}@{owner.Epoch}";

    private static void WriteCluster(Terminal terminal, StatusDocument document)
    {
        var troubled = document.Disksets.Count(set => set.Health != "okay");
        var nodesDown = document.Nodes.Count(IsMissed);
        var (word, note) = (troubled, nodesDown) switch
        {
            _ when document.Leader is null => ("unavailable", "no leader: nothing can change"),
            ( > 0, _) => ("warning", troubled == 1 ? "1 disk set needs attention" : $"{troubled} disk sets need attention"),
            _ when document.ClocksApart || document.Nodes.Any(node => node.ClockWrong) => ("warning", "a clock is wrong"),
            (_, > 0) => ("warning", nodesDown == 1 ? "1 node is not up" : $"{nodesDown} nodes are not up"),
            _ => ("okay", "every disk set is okay"),
        };
        var voters = document.Nodes.Count(node => node.Voter);
        terminal.Out.WriteLine(
            $" cluster  {document.Cluster ?? "(no name yet)"}   {terminal.Paint(word.ToUpperInvariant(), word)}   {note}   "
            + $"leader {document.Leader ?? "none"}, term {document.Term}, {voters} voters");
        terminal.Out.WriteLine($"    view  {View(document)}");
    }

    /// <summary>A node that is down because it was taken out is where it should be.</summary>
    private static bool IsMissed(NodeReport node) => node.State != "up" && !(node.Standing == "removed" && node.State == "down");

    private static string View(StatusDocument document) =>
        $"index {document.Index}, {document.Consistency}; answered by {document.AnsweredBy}";

    private static void WriteSetTable(Terminal terminal, IReadOnlyList<DisksetStatus> sets)
    {
        if (sets.Count == 0)
        {
            terminal.Out.WriteLine("  no disk sets: raftmirror set create NAME --nodes A,B,C");
            return;
        }

        var table = new Table("DISKSET", "NODES", "STATE", ">VOLS", ">SIZE", ">STALE", ">ETA", "NOTE");
        foreach (var set in sets)
        {
            long? stale = set.Volumes.Any(volume => volume.StaleRegions is null)
                ? null : set.Volumes.Sum(volume => volume.StaleRegions!.Value * volume.RegionBytes);
            var resyncs = set.Volumes.Where(volume => volume.Resync is not null).ToList();
            var eta = resyncs.Count == 0 ? "-"
                : resyncs.Any(volume => volume.Resync!.EtaSeconds is null) ? "unknown"
                : Sizes.Short(resyncs.Max(volume => volume.Resync!.EtaSeconds!.Value));
            table.AddPainted(
                2, set.Health, set.Name,
                string.Join(' ', set.Nodes.Where(node => node.Joined).Select(node => node.Name)) is { Length: > 0 } joined ? joined : "-",
                Word(set.Health),
                set.Volumes.Count.ToString(CultureInfo.InvariantCulture),
                Sizes.Format(set.Volumes.Sum(volume => volume.SizeBytes)),
                stale is { } bytes ? Sizes.Format(bytes) : "unknown",
                eta,
                set.Causes.Count > 0 ? set.Causes[0].Code : "");
        }

        table.Write(terminal, "  ");
    }

    private static void WriteNodeTable(Terminal terminal, StatusDocument document, IReadOnlyList<NodeReport> nodes)
    {
        if (nodes.Count == 0) return;
        NodeTable(document.AnsweredBy, nodes).Write(terminal, "  ");
        ClockNotes.Write(terminal, document);
        foreach (var node in nodes.Where(node => NodeStandings.HelpFor(node.Standing, node.Name) is not null))
        {
            terminal.Out.WriteLine();
            terminal.Out.WriteLine($"   {terminal.Paint("cause", "maintenance")}  node {node.Name} serves nothing: {node.Reason}");
            terminal.Out.WriteLine($"  action  {NodeStandings.HelpFor(node.Standing, node.Name)}");
        }
    }

    private static string Note(string answeredBy, NodeReport node) => string.Join(
        ", ", new[] { node.Standing is not (null or NodeStandings.Member) ? node.Standing : "", ClockNotes.Note(node), node.Name == answeredBy ? "asked" : "" }.Where(word => word.Length > 0));

    public static Table NodeTable(string answeredBy, IReadOnlyList<NodeReport> nodes)
    {
        var table = new Table("NODE", "STATE", "RAFT", "VOTER", ">LAG", ">OWNS", ">NBD", "API", "EXPORTS", "NOTE");
        foreach (var node in nodes)
        {
            table.AddPainted(
                1, node.State, node.Name, node.State, node.Role, node.Voter ? "yes" : "no",
                node.LagEntries is { } lag ? Sizes.Count(lag > long.MaxValue ? long.MaxValue : (long)lag) : "-",
                node.Owns.ToString(CultureInfo.InvariantCulture),
                node.NbdClients?.ToString(CultureInfo.InvariantCulture) ?? "-",
                node.Api ?? "-",
                node.Nbd.Count == 0 ? "-" : string.Join(' ', node.Nbd),
                Note(answeredBy, node));
        }

        return table;
    }
}
