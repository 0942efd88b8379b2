using System.Globalization;

namespace RaftMirror.Contracts;

/// <summary>Wrong clocks in words: in health, in the table of nodes, in refusals. Pure.</summary>
internal static class ClockTexts
{
    /// <summary>What an operator does when nobody can tell which clock is right.</summary>
    public const string ApartHelp = "set the clocks right (chronyc makestep); the cluster's own time goes on as it was";

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

    /// <summary>One clock is wrong.</summary>
    public static string Wrong(string node, long aheadMs) =>
        $"the clock of {node} is {Distance(aheadMs)} a majority of the voters': {node} does not lead; the cluster's own time is right";

    /// <summary>Nobody can tell which is right.</summary>
    public static string Apart(IEnumerable<(string Node, long? AheadMs)> nodes) =>
        "the voters' clocks differ and no majority agrees, so nobody can tell which is right: "
        + string.Join(", ", nodes.Where(node => node.AheadMs is not null).Select(node => string.Create(
            CultureInfo.InvariantCulture, $"{node.Node} {node.AheadMs / 1000.0:+0.0;-0.0;0.0} s")));
}
