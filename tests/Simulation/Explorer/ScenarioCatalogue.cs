using RaftMirror.Consensus.Core;
using RaftMirror.Consensus.Messages;
using RaftMirror.Consensus.Model;

namespace RaftMirror.Simulation.Explorer;

/// <summary>The named searches, each small (seconds, in CI) and large (minutes, by command).</summary>
internal static class ScenarioCatalogue
{
    private static readonly NodeId One = new(1);
    private static readonly NodeId Two = new(2);
    private static readonly NodeId Three = new(3);

    private static readonly Configuration All3 = new([One, Two, Three]);
    private static readonly MessageKind[] NoHeartbeats = [MessageKind.Heartbeat, MessageKind.HeartbeatReply];
    private static readonly RaftCoreOptions Options = new Scenario { Name = string.Empty, Purpose = string.Empty }.Options;

    /// <summary>All of them.</summary>
    public static IReadOnlyList<(Scenario Small, Scenario Large)> All { get; } =
    [
        Of(
            new Scenario
            {
                Name = "elections", Purpose = "votes that are lost and repeated, and nodes that crash before they are durable", MaxTerm = 1, MaxWrites = 1,
                Crashes = 1, MaxInFlight = 3, Lost = NoHeartbeats,
            },
            small => small with { MaxTerm = 2, MaxInFlight = 2 }),
        Of(
            new Scenario
            {
                Name = "prevotes", Purpose = "pre-votes that travel like all other messages", MaxTerm = 1, MaxInFlight = 3, PreVotesTravel = true,
                Lost = NoHeartbeats,
            },
            small => small with { MaxTerm = 2, MaxInFlight = 2 }),
        Of(
            new Scenario
            {
                Name = "figure8", Purpose = "an entry of an older term on a majority, Raft paper figure 8", MaxTerm = 5, MaxInFlight = 2,
                Options = Options with { MaxAppendEntries = 1 }, Committed = 1, Lost = NoHeartbeats,
                Disks =
                [
                    (new HardState(3, default, 1), [Entry(1, 1), Entry(2, 2)]), (new HardState(3, Three, 1), [Entry(1, 1)]),
                    (new HardState(3, Three, 1), [Entry(1, 1), Entry(3, 2)]),
                ],
            },
            small => small with { MaxInFlight = 3 }),
        Of(
            new Scenario
            {
                Name = "membership", Purpose = "from one voter to three by a joint configuration, and a crash", Prelude = "T0 *", MaxTerm = 2,
                Crashes = 1, MaxInFlight = 2, Initial = new Configuration([One], learners: [Two, Three]), Lost = NoHeartbeats,
                Changes = [[Change(MembershipAction.Promote, 2), Change(MembershipAction.Promote, 3)]],
            },
            small => small with { MaxWrites = 1 }),
        Of(
            new Scenario
            {
                Name = "replacement", Purpose = "changes by one leader and the next: a voter replaced, another demoted", Prelude = "T0 *", MaxTerm = 2,
                MaxInFlight = 3, Initial = new Configuration([One, Two], learners: [Three]), Lost = NoHeartbeats,
                Changes =
                [
                    [Change(MembershipAction.Promote, 3), Change(MembershipAction.Remove, 1)], [Change(MembershipAction.Demote, 2)],
                ],
            },
            small => small with { MaxTerm = 3, Crashes = 1 }),
        Of(
            new Scenario
            {
                Name = "rollback", Purpose = "an uncommitted configuration that the next leader cuts off", Prelude = "T0 *", MaxTerm = 2,
                MaxInFlight = 3, Lost = NoHeartbeats, Changes = [[Change(MembershipAction.Demote, 3)]],
            },
            small => small with { MaxTerm = 3, MaxInFlight = 2 }),
        Of(
            new Scenario
            {
                Name = "aba", Purpose = "entries cut off and written again while writes are under way", Prelude = "T0 *", MaxTerm = 2, MaxWrites = 2,
                Proposals = 1, MaxInFlight = 2, Lost = NoHeartbeats,
            },
            small => small with { Crashes = 1 }),
        Of(
            new Scenario
            {
                Name = "snapshots", Purpose = "offers, installs over a foreign tail, crashes between snapshot and log", Prelude = "S0 S1", MaxTerm = 4,
                Snapshots = 2, Crashes = 1, MaxInFlight = 2, Options = Options with { MaxRetainedBytes = 1 }, Lost = NoHeartbeats,
                Committed = 3, Initial = All3,
                Disks =
                [
                    (new HardState(3, Two, 3), [Entry(1, 1), Entry(3, 2), Entry(3, 3)]), (new HardState(3, Two, 3), [Entry(1, 1), Entry(3, 2), Entry(3, 3)]),
                    (new HardState(2, Three, 1), [Entry(1, 1), Foreign(new EntryId(2, 2))]),
                ],
            },
            small => small with { Proposals = 1, Snapshots = 3 }),
        Of(
            new Scenario
            {
                Name = "reads", Purpose = "reads on leaders that have been replaced", Prelude = "T0 *", MaxTerm = 2, Reads = 1, MaxInFlight = 3,
            },
            small => small with { StepDowns = 1 }),
        Of(
            new Scenario
            {
                Name = "transfer", Purpose = "leadership handed over, with and without success", Prelude = "T0 *", MaxTerm = 2, Transfers = 1, Proposals = 1,
                MaxInFlight = 2, Lost = NoHeartbeats,
            },
            small => small with { Duplicates = 1 }),
    ];

    public static Scenario Find(string name, bool isSmall)
    {
        foreach (var (small, large) in All)
        {
            if (small.Name == name) return isSmall ? small : large;
        }

        throw new ArgumentException($"There is no scenario {name}.");
    }

    private static (Scenario Small, Scenario Large) Of(Scenario small, Func<Scenario, Scenario> enlarge) => (small, enlarge(small));

    private static LogEntry Entry(ulong term, ulong index) =>
        new(new EntryId(term, index), EntryType.Command, default, new[] { (byte)(100 + (10 * term) + index) });

    /// <summary>A joint configuration that never got to a majority.</summary>
    private static LogEntry Foreign(EntryId id) =>
        new(id, EntryType.Configuration, default, ConfigurationCodec.Encode(new Configuration([Three], [One, Two, Three])));

    private static MembershipChange Change(MembershipAction action, ushort id) =>
        new(action, new Member(new NodeId(id), string.Empty, string.Empty));
}
