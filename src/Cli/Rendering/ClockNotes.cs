using RaftMirror.Contracts;

namespace RaftMirror.Cli.Rendering;

/// <summary>Wrong clocks, beside and below the tables of nodes and members.</summary>
internal static class ClockNotes
{
    /// <summary>A node's clock in the table of nodes; empty while it is right.</summary>
    public static string Note(NodeReport node) => node is { ClockWrong: true, ClockAheadMs: { } ahead }
        ? $"clock {ClockTexts.Distance(ahead).Replace(" of", "", StringComparison.Ordinal)}" : "";

    /// <summary>What is wrong with the clocks, below the table of nodes.</summary>
    public static void Write(Terminal terminal, StatusDocument document) =>
        Write(terminal, [.. document.Nodes.Select(node => (node.Name, node.ClockAheadMs, node.ClockWrong))], document.ClocksApart);

    /// <summary>What is wrong with the clocks, below the table of members: who wonders why one does not lead looks there.</summary>
    public static void Write(Terminal terminal, RaftPeersDocument document) =>
        Write(terminal, [.. document.Peers.Select(peer => (peer.Name, peer.ClockAheadMs, peer.ClockWrong))], document.ClocksApart);

    private static void Write(Terminal terminal, IReadOnlyList<(string Node, long? AheadMs, bool IsWrong)> nodes, bool areApart)
    {
        foreach (var (node, ahead, _) in nodes.Where(node => node.IsWrong)) Write(terminal, ClockTexts.Wrong(node, ahead ?? 0), ClockTexts.Help(node));
        if (areApart) Write(terminal, ClockTexts.Apart(nodes.Select(node => (node.Node, node.AheadMs))), ClockTexts.ApartHelp);
    }

    private static void Write(Terminal terminal, string cause, string action)
    {
        terminal.Out.WriteLine();
        terminal.Out.WriteLine($"   {terminal.Paint("cause", "warning")}  {cause}");
        terminal.Out.WriteLine($"  action  {action}");
    }
}
