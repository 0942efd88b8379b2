using System.Globalization;
using System.Text.RegularExpressions;

namespace RaftMirror.Consensus.Tests.EtcdScenarios;

/// <summary>
/// The facts in the text that etcd's scenarios expect. Of what happens during a command the text shows how effects are handled, messages and log
/// lines; these are etcd's own ways. What counts is what each node has come to when the command ends, as far as its text says so: role, leader, term,
/// vote, commit index, voters, and the log on disk.
/// </summary>
internal sealed partial class Expectations
{
    private readonly SortedSet<ulong> _configurationIndices = [];
    private readonly SortedDictionary<ushort, SortedDictionary<ulong, string?>> _logs = [];
    private bool _hasAsyncWrites;

    private enum Section
    {
        None,
        Entries,
        Other,
    }

    /// <summary>The index that this would be without configurations in the log.</summary>
    public ulong Plain(ulong index) => index - (ulong)_configurationIndices.Count(configuration => configuration <= index);

    /// <summary>Facts at the end of a command: what is said of whom last.</summary>
    public IReadOnlyDictionary<(ushort Node, string Fact), string> Read(DataDrivenCase command)
    {
        _hasAsyncWrites |= command.IsSet("async-storage-writes");
        var facts = new Dictionary<(ushort, string), string>();
        var written = new SortedSet<ushort>();
        ushort node = command.Command is "process-ready" or "campaign" && command.Nodes.Length == 1 ? command.Nodes[0] : (ushort)0;
        var section = Section.None;
        foreach (var raw in command.Expected)
        {
            var line = raw.Trim();
            if (Header().Match(line) is { Success: true } header)
            {
                node = header.Groups["handling"].Success ? Number(header.Groups["node"]) : (ushort)0;
                section = Section.None;
            }
            else if (Became().Match(line) is { Success: true } became)
            {
                var who = Number(became.Groups["node"]);
                facts[(who, "role")] = RoleOf(became.Groups["role"].Value);
                facts[(who, "term")] = became.Groups["term"].Value;
                if (became.Groups["role"].Value == "leader") facts[(who, "leader")] = $"{who}";
                else facts.Remove((who, "leader")); // A follower's may be known or not.
            }
            else if (Switched().Match(line) is { Success: true } switched)
            {
                facts[(Number(switched.Groups["node"]), "voters")] = switched.Groups["voters"].Value;
            }
            else if (node != 0)
            {
                section = ReadEffect(line, node, section, facts, written);
            }
        }

        // Where writes are asynchronous, the entries that are shown are not on disk yet; raft-log tells what is.
        foreach (var writer in written.Where(_ => !_hasAsyncWrites)) facts[(writer, "log")] = Log(writer);

        // A position is known only now: configurations may have been seen after it.
        foreach (var fact in facts.Keys.Where(fact => fact.Item2 == "commit").ToList())
            facts[fact] = $"{Plain(ulong.Parse(facts[fact], CultureInfo.InvariantCulture))}";
        return facts;
    }

    /// <summary>The answer of raft-log in our words.</summary>
    public string LogAnswer(DataDrivenCase command) => string.Join(
        ' ',
        command.Expected.Select(line => EntryLine().Match(line))
            .Where(entry => Require(entry, command).Groups["type"].Value == "EntryNormal")
            .Select(entry => $"{entry.Groups["term"].Value}/{Plain(Index(entry))} {entry.Groups["data"].Value}"));

    /// <summary>The answer of raft-state in our words.</summary>
    public static string StateAnswer(DataDrivenCase command) => string.Join("; ", command.Expected);

    /// <summary>The answer of status in our words: what is paused or inactive, or how much is in flight, is not compared.</summary>
    public string StatusAnswer(DataDrivenCase command) => string.Join(
        "; ",
        command.Expected.Select(line => Require(StatusLine().Match(line), command)).Select(status =>
        {
            string Position(string name) => $"{name}={Plain(ulong.Parse(status.Groups[name].Value, CultureInfo.InvariantCulture))}";
            return $"{status.Groups["head"].Value} {Position("match")} {Position("next")}";
        }));

    private Section ReadEffect(
        string line, ushort node, Section section, Dictionary<(ushort, string), string> facts, SortedSet<ushort> written)
    {
        if (line == "Entries:") return Section.Entries;
        if (line is "CommittedEntries:" or "Messages:") return Section.Other;
        if (SoftState().Match(line) is { Success: true } soft)
        {
            facts[(node, "leader")] = soft.Groups["lead"].Value;
            facts[(node, "role")] = soft.Groups["state"].Value;
            return Section.None;
        }

        if (HardStateLine().Match(line) is { Success: true } hard)
        {
            facts[(node, "term")] = hard.Groups["term"].Value;
            facts[(node, "vote")] = hard.Groups["vote"].Success ? hard.Groups["vote"].Value : "0";
            facts[(node, "commit")] = hard.Groups["commit"].Value;
            return Section.None;
        }

        if (SnapshotLine().Match(line) is { Success: true } snapshot)
        {
            var index = Index(snapshot);
            LogOf(node).Clear();
            LogOf(node)[index] = null; // Known to be covered.
            return Section.None;
        }

        if (section == Section.Entries && EntryLine().Match(line) is { Success: true } entry)
        {
            var log = LogOf(node);
            var index = Index(entry);
            foreach (var later in log.Keys.Where(key => key >= index).ToList()) log.Remove(later);
            var isNormal = entry.Groups["type"].Value == "EntryNormal";
            if (!isNormal) _configurationIndices.Add(index);
            log[index] = isNormal ? $"{entry.Groups["term"].Value}/{{0}} {entry.Groups["data"].Value}" : null;
            written.Add(node);
            return Section.Entries;
        }

        return section == Section.Entries ? Section.None : section;
    }

    /// <summary>The end of a log, as far as it was ever shown.</summary>
    private string Log(ushort node)
    {
        var log = LogOf(node);
        var end = log.Keys.Max();
        var start = end;
        while (log.ContainsKey(start - 1)) start--;
        return string.Join(
            ' ',
            log.Where(pair => pair.Key >= start && pair.Value is not null)
                .Select(pair => pair.Value!.Replace("{0}", $"{Plain(pair.Key)}", StringComparison.Ordinal)));
    }

    private SortedDictionary<ulong, string?> LogOf(ushort node)
    {
        if (!_logs.TryGetValue(node, out var log)) _logs[node] = log = [];
        return log;
    }

    private static Match Require(Match match, DataDrivenCase command) =>
        match.Success ? match : throw new FormatException($"{command}: an answer that is not understood");

    private static ushort Number(Group group) => ushort.Parse(group.Value, CultureInfo.InvariantCulture);

    private static ulong Index(Match match) => ulong.Parse(match.Groups["index"].Value, CultureInfo.InvariantCulture);

    private static string RoleOf(string word) => word switch
    {
        "leader" => "StateLeader",
        "follower" => "StateFollower",
        "candidate" => "StateCandidate",
        _ => "StatePreCandidate",
    };

    [GeneratedRegex(@"^> (?<node>\d+) ((?<handling>handling Ready)|.+)$")]
    private static partial Regex Header();

    [GeneratedRegex(@"^INFO (?<node>\d+) became (?<role>leader|follower|candidate|pre-candidate) at term (?<term>\d+)$")]
    private static partial Regex Became();

    [GeneratedRegex(@"^INFO (?<node>\d+) switched to configuration voters=(?<voters>\([\d ]*\)(&&\([\d ]*\))?)( autoleave)?$")]
    private static partial Regex Switched();

    [GeneratedRegex(@"^Lead:(?<lead>\d+) State:(?<state>\w+)$")]
    private static partial Regex SoftState();

    [GeneratedRegex(@"^HardState Term:(?<term>\d+)( Vote:(?<vote>\d+))? Commit:(?<commit>\d+)$")]
    private static partial Regex HardStateLine();

    [GeneratedRegex(@"^Snapshot Index:(?<index>\d+) Term:\d+ ")]
    private static partial Regex SnapshotLine();

    [GeneratedRegex("^(?<term>\\d+)/(?<index>\\d+) (?<type>EntryNormal|EntryConfChange|EntryConfChangeV2)( (?<data>.*))?$")]
    private static partial Regex EntryLine();

    [GeneratedRegex(@"^(?<head>\d+: State\w+) match=(?<match>\d+) next=(?<next>\d+)( .*)?$")]
    private static partial Regex StatusLine();
}
