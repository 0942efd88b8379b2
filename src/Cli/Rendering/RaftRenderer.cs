using System.Globalization;
using RaftMirror.Consensus.Offline;
using RaftMirror.Contracts;

namespace RaftMirror.Cli.Rendering;

/// <summary>Shows the replicated log, its members and its files to people.</summary>
internal static class RaftRenderer
{
    public static void WritePeers(Terminal terminal, RaftPeersDocument document)
    {
        var voters = document.Peers.Count(peer => peer.Voter);
        var learners = document.Peers.Count - voters;
        terminal.Out.WriteLine(
            $"leader {document.Leader ?? "none"}, term {document.Term}, commit {document.Commit}, {voters} {(voters == 1 ? "voter" : "voters")}"
            + (learners == 0 ? "" : $", {learners} {(learners == 1 ? "learner" : "learners")}")
            + (document.Changing ? ", a change is under way" : "")
            + $"; answered by {document.AnsweredBy}, applied {document.Applied}");
        var table = new Table("NODE", ">ID", "ADDRESS", "ROLE", "VOTER", ">PRIO", ">MATCH", ">LAG", "ACTIVE", "STANDING");
        foreach (var peer in document.Peers)
        {
            var standing = peer.Standing ?? "unknown";
            table.AddPainted(
                9, standing == "member" ? "okay" : standing == "unknown" ? "warning" : standing, peer.Name, Number(peer.Id), peer.Address, peer.Role,
                peer.Voter ? "yes" : "no", Number((ulong)peer.Priority), peer.Match is { } match ? Number(match) : "-",
                peer.LagEntries is { } lag ? Number(lag) : "-", peer.Active is { } active ? active ? "yes" : "no" : "-", standing);
        }

        table.Write(terminal);
        foreach (var peer in document.Peers.Where(peer => peer.Reason is not null))
        {
            terminal.Out.WriteLine();
            terminal.Out.WriteLine($"   cause  node {peer.Name} serves nothing: {peer.Reason}");
            if (NodeStandings.HelpFor(peer.Standing, peer.Name) is { } help) terminal.Out.WriteLine($"  action  {help}");
        }

        ClockNotes.Write(terminal, document);
    }

    public static void WriteLog(Terminal terminal, RaftLogDocument document)
    {
        terminal.Out.WriteLine(document.Last < document.First
            ? $"node {document.AnsweredBy}: no entries; all up to {document.Last} are covered by a snapshot"
            : $"node {document.AnsweredBy}: entries {document.First} to {document.Last}, committed to {document.Committed}");
        WriteEntries(terminal, document.Entries, "");
    }

    public static void WriteSnapshots(Terminal terminal, RaftSnapshotsDocument document)
    {
        if (document.Snapshots.Count == 0)
        {
            terminal.Out.WriteLine("no snapshots yet: the first one is taken after some thousand entries");
            return;
        }

        var table = new Table("NODE", ">INDEX", ">TERM");
        foreach (var snapshot in document.Snapshots) table.Add(snapshot.Node, Number(snapshot.Index), Number(snapshot.Term));
        table.Write(terminal);
    }

    public static void WriteInspection(Terminal terminal, RaftInspectReport report)
    {
        var node = report.Node;
        terminal.Out.WriteLine($"   node  {report.Name ?? "(no name)"}, number {node.NodeId}, incarnation {node.Incarnation}");
        terminal.Out.WriteLine($"cluster  {node.ClusterName}, {node.ClusterId}");
        terminal.Out.WriteLine($"verdict  {VerdictOf(terminal, node.Verdict)}{(node.Damage is { } damage ? $": {damage}" : "")}");
        terminal.Out.WriteLine(
            $"    log  {Entries(node)}; term {node.Term}, voted for {node.VotedFor?.ToString(CultureInfo.InvariantCulture) ?? "nobody"}, commit {node.Commit}");
        terminal.Out.WriteLine(
            $" frames  {node.KnownDurableFrames} known to be durable{(node.CutFrames > 0 ? $", {node.CutFrames} would be cut" : "")}");
        var names = string.Join(", ", node.Names.OrderBy(pair => pair.Key).Select(pair => $"{pair.Key} is {pair.Value}"));
        terminal.Out.WriteLine($"members  {node.Members ?? "unknown"}{(names.Length > 0 ? $"; {names}" : "")}");
        if (node.Quarantine is { } quarantine) terminal.Out.WriteLine($"  state  {terminal.Paint("QUARANTINED", "maintenance")}: {quarantine}");
        if (node.IsRecoveryPending) terminal.Out.WriteLine("  state  a salvaged log that no cluster was made of: a node refuses it");
        terminal.Out.WriteLine();
        var segments = new Table("SEGMENT", ">SIZE", ">FRAMES", ">FIRST", ">LAST", "NOTE");
        foreach (var segment in node.Segments)
        {
            segments.Add(
                segment.Name, Sizes.Format(segment.LengthBytes), Number((ulong)segment.Frames), Number(segment.FirstIndex), Number(segment.LastIndex),
                segment.IsObsolete ? "obsolete" : "");
        }

        segments.Write(terminal, "  ");
        if (node.Snapshots.Count > 0)
        {
            terminal.Out.WriteLine();
            var snapshots = new Table("SNAPSHOT", ">TERM", ">SIZE", "MEMBERS", "NOTE");
            foreach (var snapshot in node.Snapshots)
            {
                snapshots.Add(
                    Number(snapshot.Index), Number(snapshot.Term), Sizes.Format(snapshot.Bytes), snapshot.Members ?? "-", snapshot.Damage ?? "sound");
            }

            snapshots.Write(terminal, "  ");
        }

        if (node.Frames is { } frames) WriteFrames(terminal, frames);
    }

    /// <summary>Entries as a table.</summary>
    public static void WriteEntries(Terminal terminal, IReadOnlyList<RaftLogEntry> entries, string indent)
    {
        if (entries.Count == 0) return;
        var table = new Table(">INDEX", ">TERM", "KIND", "FROM", ">BYTES", "STATE", "WHAT");
        foreach (var entry in entries)
        {
            var by = entry.Command is { ValueKind: System.Text.Json.JsonValueKind.Object } command && command.TryGetProperty("by", out var who)
                ? $" by {who.GetString()}" : "";
            table.Add(
                Number(entry.Index), Number(entry.Term), entry.Kind, entry.Proposer ?? "-", Number((ulong)entry.Bytes),
                entry.Committed ? "committed" : "pending", entry.Configuration ?? (entry.Type is { } type ? type + by : ""));
        }

        table.Write(terminal, indent);
    }

    public static string Sentence(RaftVerifyReport report) => report.Verdict switch
    {
        OfflineVerdict.Intact => $"everything that was written is there, up to entry {report.LastIndex}",
        OfflineVerdict.TornTail => $"whole up to entry {report.LastIndex}; {report.CutFrames} {(report.CutFrames == 1 ? "frame" : "frames")} that never were durable would be cut, as after any crash",
        OfflineVerdict.SnapshotDamaged => $"a snapshot is damaged, and what is left gives everything up to entry {report.LastIndex}: {report.Damage}",
        _ => $"a node does not start from it: {report.Damage}",
    };

    public static string VerdictOf(Terminal terminal, OfflineVerdict verdict) => verdict switch
    {
        OfflineVerdict.Intact => terminal.Paint("INTACT", "okay"),
        OfflineVerdict.TornTail => terminal.Paint("TORN TAIL", "okay"),
        OfflineVerdict.SnapshotDamaged => terminal.Paint("SNAPSHOT DAMAGED", "warning"),
        _ => terminal.Paint("DAMAGED", "maintenance"),
    };

    private static void WriteFrames(Terminal terminal, IReadOnlyList<OfflineFrame> frames)
    {
        terminal.Out.WriteLine();
        var table = new Table(">FRAME", "SEGMENT", ">OFFSET", ">BYTES", ">FIRST", ">LAST", ">TERM", ">COMMIT", "NOTE");
        foreach (var frame in frames)
        {
            var hasEntries = frame.FirstIndex != 0 && frame.FirstIndex <= frame.LastIndex;
            table.Add(
                Number(frame.Sequence), frame.Segment, Number((ulong)frame.Offset), Number((ulong)frame.Bytes), hasEntries ? Number(frame.FirstIndex) : "-",
                hasEntries ? Number(frame.LastIndex) : "-", Number(frame.Term), Number(frame.Commit), frame.IsIntact ? "" : "behind the tail");
        }

        table.Write(terminal, "  ");
    }

    private static string Entries(OfflineReport node) => node.LastIndex == node.BaseIndex
        ? $"no entries behind {node.BaseIndex}"
        : $"entries {node.BaseIndex + 1} to {node.LastIndex}";

    private static string Number(ulong value) => value.ToString(CultureInfo.InvariantCulture);
}
