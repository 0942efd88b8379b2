using System.Globalization;
using RaftMirror.Cli.Api;
using RaftMirror.ControlPlane.Model;
using NodeStatus = RaftMirror.Cli.Api.NodeStatus;

namespace RaftMirror.Cli.Output;

/// <summary>Wrong clocks in words: in health, in the table of nodes, in refusals. Pure.</summary>
internal static class ClockTexts
{
    private const string ApartHelp = "set the clocks right (chronyc makestep); the cluster's own time goes on as it was";

    /// <summary>"25:00:00 h ahead of" or "3.5 s behind".</summary>
    public static string Distance(long aheadMs)
    {
        var time = TimeSpan.FromMilliseconds(Math.Abs((double)aheadMs));
        var text = time < TimeSpan.FromMinutes(1)
            ? string.Create(CultureInfo.InvariantCulture, $"{time.TotalSeconds:0.#} s")
            : string.Create(CultureInfo.InvariantCulture, $"{(long)time.TotalHours}:{time:mm\\:ss} h");
        return text + (aheadMs < 0 ? " behind" : " ahead of");
    }

    /// <summary>What an operator does about a wrong clock.</summary>
    public static string Help(string node) =>
        $"set the clock of {node} right (chronyc makestep; timedatectl shows it); nothing has to be restarted";

    /// <summary>Why a set is not okay, as far as clocks go.</summary>
    public static IEnumerable<HealthCause> CausesOf(LiveFigures live, SetState set)
    {
        foreach (var name in set.Members.Keys)
        {
            if (live.Nodes.GetValueOrDefault(name) is { ClockWrong: true, ClockAheadMs: { } ahead })
                yield return new HealthCause("RM1501 CLOCK_WRONG", $"{set.Name}:{name}", Wrong(name, ahead), Help(name));
        }

        if (live.ClocksApart)
        {
            yield return new HealthCause(
                "RM1502 CLOCKS_APART", set.Name, Apart(live.Nodes.Select(pair => (pair.Key, pair.Value.ClockAheadMs))), ApartHelp);
        }
    }

    /// <summary>A node's clock in the table of nodes; empty while it is right.</summary>
    public static string Note(NodeStatus node) => node is { ClockWrong: true, ClockAheadMs: { } ahead }
        ? $"clock {Distance(ahead).Replace(" of", "", StringComparison.Ordinal)}" : "";

    /// <summary>What is wrong with the clocks, below the table of nodes.</summary>
    public static void Write(Terminal terminal, StatusDocument document) =>
        Write(terminal, [.. document.Nodes.Select(node => (node.Name, node.ClockAheadMs, node.ClockWrong))], document.ClocksApart);

    /// <summary>What is wrong with the clocks, below the table of members: who wonders why one does not lead looks there.</summary>
    public static void Write(Terminal terminal, RaftPeersDocument document) =>
        Write(terminal, [.. document.Peers.Select(peer => (peer.Name, peer.ClockAheadMs, peer.ClockWrong))], document.ClocksApart);

    private static void Write(Terminal terminal, IReadOnlyList<(string Node, long? AheadMs, bool IsWrong)> nodes, bool areApart)
    {
        foreach (var (node, ahead, _) in nodes.Where(node => node.IsWrong)) Write(terminal, Wrong(node, ahead ?? 0), Help(node));
        if (areApart) Write(terminal, Apart(nodes.Select(node => (node.Node, node.AheadMs))), ApartHelp);
    }

    private static void Write(Terminal terminal, string cause, string action)
    {
        terminal.Out.WriteLine();
        terminal.Out.WriteLine($"   {terminal.Paint("cause", "warning")}  {cause}");
        terminal.Out.WriteLine($"  action  {action}");
    }

    private static string Wrong(string node, long aheadMs) =>
        $"the clock of {node} is {Distance(aheadMs)} a majority of the voters': {node} does not lead; the cluster's own time is right";

    private static string Apart(IEnumerable<(string Node, long? AheadMs)> nodes) =>
        "the voters' clocks differ and no majority agrees, so nobody can tell which is right: "
        + string.Join(", ", nodes.Where(node => node.AheadMs is not null).Select(node => string.Create(
            CultureInfo.InvariantCulture, $"{node.Node} {node.AheadMs / 1000.0:+0.0;-0.0;0.0} s")));
}
