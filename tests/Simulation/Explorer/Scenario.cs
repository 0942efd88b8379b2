using RaftMirror.Consensus.Core;
using RaftMirror.Consensus.Messages;
using RaftMirror.Consensus.Model;

namespace RaftMirror.Simulation.Explorer;

/// <summary>Where a search begins and how far it goes. Each number bounds how often something may happen on one path.</summary>
internal sealed record Scenario
{
    public required string Name { get; init; }

    /// <summary>What it is for.</summary>
    public required string Purpose { get; init; }

    /// <summary>Nodes 1 to this many.</summary>
    public int Nodes { get; init; } = 3;

    /// <summary>Who takes part at the start; null for all nodes as voters.</summary>
    public Configuration? Initial { get; init; }

    /// <summary>What is on the disks at the start, by node; null for nothing.</summary>
    public IReadOnlyList<(HardState HardState, LogEntry[] Entries)>? Disks { get; init; }

    /// <summary>How many of the entries of node 1 are committed at the start.</summary>
    public int Committed { get; init; }

    /// <summary>Done before the search, so that it begins in an interesting place; * is everything that is under way.</summary>
    public string Prelude { get; init; } = string.Empty;

    /// <summary>Nobody times out in this term; one more may begin where leadership is handed over.</summary>
    public ulong MaxTerm { get; init; } = 2;

    public int Proposals { get; init; }

    public int Heartbeats { get; init; }

    public int Crashes { get; init; }

    public int Duplicates { get; init; }

    /// <summary>Losses that free a place in the network; not to be delivered is possible for every message anyway.</summary>
    public int Drops { get; init; }

    public int Snapshots { get; init; }

    public int Reads { get; init; }

    /// <summary>Leaders that give up because they do not hear of a majority.</summary>
    public int StepDowns { get; init; }

    public int Transfers { get; init; }

    /// <summary>Made in this order, each by whoever leads then.</summary>
    public IReadOnlyList<MembershipChange[]> Changes { get; init; } = [];

    /// <summary>Messages on the way. When more are sent, messages are lost until it is so many again, and all choices of which are
    /// explored: were it the newest, or those to high numbers, names would count and rare orders would never be seen.</summary>
    public int MaxInFlight { get; init; } = 4;

    /// <summary>Writes in flight on one node; 0: each is done at once. The oldest is done when there would be more.</summary>
    public int MaxWrites { get; init; }

    /// <summary>Kinds that never arrive once the search has begun.</summary>
    public IReadOnlyList<MessageKind> Lost { get; init; } = [];

    /// <summary>Pre-votes are messages like all others. Else whoever times out has a majority's grants at once, if nodes would give them now.</summary>
    public bool PreVotesTravel { get; init; }

    /// <summary>The rule that alone is looked for; null for all. The search goes on past states that break others: so it is seen what comes of
    /// an acknowledgement that is not durable, say.</summary>
    public Rule? Only { get; init; }

    public bool LooksFor(Rule rule) => Only is null || Only == rule;

    /// <summary>States that differ only in the names of nodes count once. Not sound where the core prefers low numbers:
    /// with changes of membership.</summary>
    public bool IsSymmetric => Changes.Count == 0 && Initial is null;

    /// <summary>Time is taken out, so nothing that depends on how much of it has passed may decide. Appends do not wait for each other: what waits
    /// for an answer that was lost is sent again by a heartbeat, which most scenarios leave out.</summary>
    public RaftCoreOptions Options { get; init; } = new()
    {
        MaxPartialInflight = 64,
        DiskStallMs = int.MaxValue / 2,
        PriorityStableMs = int.MaxValue / 2,
        MaxAppendEntries = 2,
    };
}
