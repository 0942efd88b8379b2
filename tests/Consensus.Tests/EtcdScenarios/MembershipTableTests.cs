using System.Globalization;
using System.Text.RegularExpressions;
using RaftMirror.Consensus.Model;
using Xunit.Abstractions;

namespace RaftMirror.Consensus.Tests.EtcdScenarios;

/// <summary>
/// etcd's tables of configuration changes. What is compared: whether a change is refused, the voters, outgoing voters, learners and
/// learners-to-be, and who has a progress, as a learner or not. Not compared: texts of refusals, "next" of a progress, the flag autoleave.
///
/// How etcd's words are said here: vN is add (if unknown) and promote, lN is add or demote, rN remove, uN a new address. "simple" is a change
/// that is carried through, jointly where voters change; "enter-joint" its first step. v1 on nothing is how a cluster is set up. Where the
/// results differ, which is listed, the next case starts from etcd's.
/// </summary>
public sealed partial class MembershipTableTests(ITestOutputHelper output)
{
    private const string Refused = "refused";

    [DataFact("etcd-raft")]
    public void MembershipRules_EtcdTables_GiveTheSameConfigurations()
    {
        var folder = TestData.Require("etcd-raft");
        var simple = 0;
        var enter = 0;
        var leave = 0;
        var all = new List<Facts>();
        foreach (var path in Directory.GetFiles(Path.Combine(folder, "confchange")).Order(StringComparer.Ordinal))
        {
            var facts = new Facts($"confchange/{Path.GetFileName(path)}");
            all.Add(facts);
            var current = Configuration.Empty;
            foreach (var table in DataDriven.Read(folder, facts.File))
            {
                Configuration? next;
                switch (table.Command)
                {
                    case "simple":
                        simple++;
                        next = Simple(current, Operations(table));
                        break;
                    case "enter-joint":
                        enter++;
                        next = Final(current, Operations(table)) is { } final ? MembershipRules.FirstStep(current, final) : null;
                        break;
                    case "leave-joint":
                        leave++;
                        next = current.IsJoint ? current.LeaveJoint() : null;
                        break;
                    default:
                        throw new FormatException($"{table}: unknown command");
                }

                var theirs = Parse(table);
                var isSame = facts.Compare(table.Line, "configuration", Text(theirs), Text(next));
                if (theirs is not null && isSame) facts.Compare(table.Line, "members", MembersOf(table), MembersOf(next!));
                if (theirs is not null) current = isSame ? next! : theirs;
            }
        }

        Facts.Verify(all);
        var compared = all.Sum(facts => facts.Compared);

        var differing = all.Sum(facts => facts.Differing);
        output.WriteLine($"{simple} simple, {enter} enter-joint, {leave} leave-joint; {compared} facts, {differing} differ as listed");
        Assert.Equal((20, 10, 7), (simple, enter, leave));
        Assert.Equal(53, compared);
    }

    private static Configuration? Simple(Configuration current, string[] operations)
    {
        if (current.Members.Length == 0 && operations is ["v1"]) return new Configuration([new NodeId(1)]);
        if (Final(current, operations) is not { } final) return null;
        var first = MembershipRules.FirstStep(current, final);
        return first.IsJoint ? first.LeaveJoint() : first;
    }

    /// <summary>New members first, then everything else at once; null if either is refused.</summary>
    private static Configuration? Final(Configuration current, string[] operations)
    {
        var additions = new List<MembershipChange>();
        var changes = new List<MembershipChange>();
        foreach (var operation in operations)
        {
            var id = new NodeId(ushort.Parse(operation.AsSpan(1), CultureInfo.InvariantCulture));
            var isKnown = current.SlotOf(id) >= 0;
            var member = new Member(id, $"n{id}", $"n{id}:1");
            void Add(MembershipAction action) => (action == MembershipAction.AddLearner ? additions : changes).Add(new(action, member));
            switch (operation[0])
            {
                case 'v':
                    if (!isKnown) Add(MembershipAction.AddLearner);
                    Add(MembershipAction.Promote);
                    break;
                case 'l':
                    Add(current.IsVoter(id) ? MembershipAction.Demote : MembershipAction.AddLearner);
                    break;
                case 'r':
                    Add(MembershipAction.Remove);
                    break;
                case 'u':
                    Add(MembershipAction.Update);
                    break;
                default:
                    throw new FormatException($"Unknown operation {operation}");
            }
        }

        var wider = current;
        if (additions.Count > 0) wider = MembershipRules.Change(current, additions, out _);
        return wider is null || (changes.Count == 0 && additions.Count > 0) ? wider : MembershipRules.Change(wider, changes, out _);
    }

    private static string[] Operations(DataDrivenCase table) =>
        [.. table.Input.SelectMany(line => line.Split(' ', StringSplitOptions.RemoveEmptyEntries))];

    /// <summary>The configuration that etcd prints; null for a refusal. Its learners-next are outgoing voters here that are learners, too.</summary>
    private static Configuration? Parse(DataDrivenCase table)
    {
        var match = Printed().Match(table.Expected[0]);
        if (!match.Success)
        {
            Assert.True(table.Expected.Length == 1 && !table.Expected[0].Contains('='), $"{table}: neither a configuration nor a refusal");
            return null;
        }

        NodeId[] Ids(string group) => [.. match.Groups[group].Value.Split(' ', StringSplitOptions.RemoveEmptyEntries)
            .Select(id => new NodeId(ushort.Parse(id, CultureInfo.InvariantCulture)))];
        return new Configuration(Ids("voters"), Ids("outgoing"), Ids("learners").Concat(Ids("next")));
    }

    private static string Text(Configuration? configuration)
    {
        if (configuration is null) return Refused;
        string Ids(IEnumerable<NodeId> ids) => string.Join(' ', ids);
        var next = configuration.Learners.Intersect(configuration.OutgoingVoters);
        return $"({Ids(configuration.Voters)})&&({Ids(configuration.OutgoingVoters)}) "
            + $"learners ({Ids(configuration.Learners.Except(configuration.OutgoingVoters))}) next ({Ids(next)})";
    }

    private static string MembersOf(DataDrivenCase table) => string.Join(
        ' ', table.Expected.Skip(1).Select(line => line.Split(':')[0] + (line.EndsWith(" learner", StringComparison.Ordinal) ? "l" : "")));

    private static string MembersOf(Configuration configuration) =>
        string.Join(' ', configuration.Members.Select(id => $"{id}{(configuration.IsVoter(id) ? "" : "l")}"));

    [GeneratedRegex(
        @"^voters=\((?<voters>[\d ]*)\)(&&\((?<outgoing>[\d ]*)\))?"
        + @"( learners=\((?<learners>[\d ]*)\))?( learners_next=\((?<next>[\d ]*)\))?( autoleave)?$")]
    private static partial Regex Printed();
}
