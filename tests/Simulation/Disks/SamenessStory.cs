using System.Text;
using RaftMirror.DataPlane.Metadata;

namespace RaftMirror.Simulation.Disks;

/// <summary>A bug that the story can be given.</summary>
public enum SamenessBug
{
    /// <summary>The product as it is.</summary>
    None,

    /// <summary>A node that has claimed a disk and does not use it yet says that it does not use it.</summary>
    HidesClaims,

    /// <summary>Of two that look at the same time the first by name passes by.</summary>
    PassesByName,

    /// <summary>Nodes that are suspect are not asked.</summary>
    SkipsSuspects,

    /// <summary>What was compared before the node joined is used after it without another question.</summary>
    TrustsItsLookBeforeJoining,

    /// <summary>Whom to ask is read before the disk is claimed.</summary>
    NamesBeforeItClaims,
}

/// <summary>Two or three nodes take one disk into use, each through its own path, some of which lead to a copy: all interleavings of their steps, with nodes
/// that join, leave, die, are fenced and come back. No two may use different media. The steps are those of the daemon; the decisions are the
/// product's own.</summary>
/// <param name="media">What each node's path leads to, by node.</param>
/// <param name="faults">How often a node may leave or die in one run.</param>
/// <param name="bug">What is broken.</param>
public sealed class SamenessStory(string media, int faults, SamenessBug bug)
{
    private enum Step
    {
        Idle,
        Claimed,
        Asking,
        Dead,
    }

    private enum Joined
    {
        No,
        Yes,
        Formerly, // An incarnation that is dead and not fenced yet.
    }

    private readonly record struct Node(Step Step, Joined Joined, ClaimPhase Phase, SamenessLook? Look, bool IsDraining, bool IsSuspect, string Named)
    {
        public bool IsUser => Phase == ClaimPhase.InUse && Joined == Joined.Yes && !IsDraining && Step != Step.Dead;
    }

    private sealed record World(Node[] Nodes, int Faults)
    {
        public string Key()
        {
            var key = new StringBuilder().Append(Faults);
            foreach (var node in Nodes)
            {
                key.Append('|').Append((int)node.Step).Append((int)node.Joined).Append((int)node.Phase).Append(node.IsDraining ? 'd' : '-')
                    .Append(node.IsSuspect ? 's' : '-').Append(node.Named);
                if (node.Look is not { } look) continue;
                key.Append(look.IsJoined ? 'J' : 'j').Append((int)look.Verdict).Append(look.Opponent);
                foreach (var (name, missed) in look.Open) key.Append(name).Append(missed);
            }

            return key.ToString();
        }

        public World With(int index, Node node, int faults = 0)
        {
            var nodes = (Node[])Nodes.Clone();
            nodes[index] = node;
            return new World(nodes, Faults + faults);
        }
    }

    /// <summary>Worlds seen.</summary>
    public int Worlds { get; private set; }

    /// <summary>Worlds in which two or more nodes use the disk.</summary>
    public int Shared { get; private set; }

    /// <summary>Goes through all worlds.</summary>
    /// <returns>How two nodes come to use different media; null if they never do.</returns>
    /// <exception cref="InvalidOperationException">In some world no further steps lead to the disk being used.</exception>
    public string? Run()
    {
        var start = new World([.. media.Select(static _ => new Node(Step.Idle, Joined.No, ClaimPhase.None, null, false, false, ""))], 0);
        var seen = new Dictionary<string, int>(StringComparer.Ordinal) { [start.Key()] = 0 };
        var worlds = new List<(World World, int From, string Did)> { (start, -1, "") };
        var into = new List<List<int>> { new() };
        for (var at = 0; at < worlds.Count; at++)
        {
            var world = worlds[at].World;
            if (Breaks(world)) return Tell(worlds, at);
            if (world.Nodes.Count(static node => node.IsUser) > 1) Shared++;
            foreach (var (did, next) in Next(world))
            {
                var key = next.Key();
                if (!seen.TryGetValue(key, out var index))
                {
                    seen[key] = index = worlds.Count;
                    worlds.Add((next, at, did));
                    into.Add([]);
                }

                into[index].Add(at);
            }
        }

        Worlds = worlds.Count;
        CheckProgress(worlds, into);
        return null;
    }

    private static string Name(int index) => ((char)('a' + index)).ToString();

    private bool Breaks(World world)
    {
        var used = world.Nodes.Select((node, index) => (node, index)).Where(static one => one.node.IsUser).Select(one => media[one.index]).Distinct();
        return used.Count() > 1;
    }

    /// <summary>From every world some steps lead to one where all nodes that see the medium in use, or all that see the same, use the disk.</summary>
    private void CheckProgress(List<(World World, int From, string Did)> worlds, List<List<int>> into)
    {
        var good = new bool[worlds.Count];
        var open = new Queue<int>();
        for (var at = 0; at < worlds.Count; at++)
        {
            if (!IsGood(worlds[at].World)) continue;
            good[at] = true;
            open.Enqueue(at);
        }

        while (open.TryDequeue(out var reached))
        {
            foreach (var from in into[reached].Where(from => !good[from]))
            {
                good[from] = true;
                open.Enqueue(from);
            }
        }

        var stuck = Array.IndexOf(good, false);
        if (stuck >= 0) throw new InvalidOperationException($"the disk is never used again after: {Tell(worlds, stuck)}");
    }

    private bool IsGood(World world)
    {
        var users = world.Nodes.Select((node, index) => (node, index)).Where(static one => one.node.IsUser).ToList();
        return users.Count > 0 && users.Count == media.Count(medium => medium == media[users[0].index]);
    }

    private static string Tell(List<(World World, int From, string Did)> worlds, int at)
    {
        var steps = new List<string>();
        for (; at > 0; at = worlds[at].From) steps.Insert(0, worlds[at].Did);
        return string.Join("; ", steps);
    }

    private IEnumerable<(string Did, World Next)> Next(World world)
    {
        for (var index = 0; index < world.Nodes.Length; index++)
        {
            var at = index;
            foreach (var (did, next) in Life(world, at).Concat(world.Nodes[at].Step == Step.Dead ? [] : Look(world, at))) yield return ($"{Name(at)} {did}", next);
        }
    }

    private IEnumerable<(string Did, World Next)> Life(World world, int at)
    {
        var node = world.Nodes[at];
        if (node.Step == Step.Dead) yield return ("restarts", world.With(at, node with { Step = Step.Idle }));
        if (node.Joined == Joined.Formerly) yield return ("is fenced", world.With(at, node with { Joined = Joined.No, IsSuspect = false }));
        if (node.Step != Step.Dead && node.Joined == Joined.No && !node.IsDraining) yield return ("joins", world.With(at, node with { Joined = Joined.Yes }));
        if (bug == SamenessBug.SkipsSuspects && node.Joined == Joined.Yes) yield return ("is suspect or not", world.With(at, node with { IsSuspect = !node.IsSuspect }));
        if (node.IsDraining && node.Joined == Joined.Yes) yield return ("has left", world.With(at, node with { Joined = Joined.No }));
        if (node.IsDraining && node.Joined == Joined.No) yield return ("closes", world.With(at, default(Node) with { Named = "" }));
        if (world.Faults >= faults || node.Step == Step.Dead || node.IsDraining || node.Joined != Joined.Yes) yield break;
        yield return ("leaves", world.With(at, node with { IsDraining = true }, 1));
        yield return ("dies", world.With(at, new Node(Step.Dead, Joined.Formerly, ClaimPhase.None, null, false, node.IsSuspect, ""), 1));
    }

    private IEnumerable<(string Did, World Next)> Look(World world, int at)
    {
        var node = world.Nodes[at];
        var claim = Restore(node.Phase);
        switch (node)
        {
            case { Step: Step.Idle, Phase: not ClaimPhase.InUse }:
                claim.Drop();
                claim.Claim();
                yield return ("claims", world.With(at, node with { Step = Step.Claimed, Phase = claim.Phase, Named = bug == SamenessBug.NamesBeforeItClaims ? node.Named : "" }));
                if (bug == SamenessBug.NamesBeforeItClaims && node.Named.Length == 0)
                    yield return ("reads the state", world.With(at, node with { Named = "!" + (node.Joined == Joined.Yes ? "J" : "j") + string.Concat(Others(world, at)) }));
                break;
            case { Step: Step.Claimed }:
                var isJoined = node.Joined == Joined.Yes || bug == SamenessBug.TrustsItsLookBeforeJoining;
                var others = Others(world, at);
                if (node.Named.Length > 0) (isJoined, others) = (node.Named[1] == 'J', node.Named[2..].Select(static name => name.ToString()));
                yield return ("asks", world.With(at, node with { Step = Step.Asking, Look = claim.Ask(Name(at), isJoined, others), Named = "" }));
                break;
            case { Step: Step.Asking, Look: { Verdict: SamenessVerdict.Asking } look }:
                foreach (var other in look.Open.Keys)
                {
                    if (Heard(world, at, look, other[0] - 'a') is { } next && next != look) yield return ($"hears {other}", world.With(at, node with { Look = next }));
                }

                claim.Drop();
                yield return ("gives up", world.With(at, node with { Step = Step.Idle, Look = null, Phase = claim.Phase }));
                break;
            case { Step: Step.Asking, Look: { } look }:
                claim.End(look);
                yield return ($"is told {look.Verdict}", world.With(at, node with { Step = Step.Idle, Look = null, Phase = claim.Phase }));
                break;
        }
    }

    private IEnumerable<string> Others(World world, int at)
    {
        for (var other = 0; other < world.Nodes.Length; other++)
        {
            var node = world.Nodes[other];
            if (other != at && node.Joined != Joined.No && !(bug == SamenessBug.SkipsSuspects && node.IsSuspect)) yield return Name(other);
        }
    }

    /// <summary>What a node hears when it asks for as long as nothing changes; null for no answer.</summary>
    private SamenessLook? Heard(World world, int at, SamenessLook look, int other)
    {
        var asked = world.Nodes[other];
        if (asked.Step == Step.Dead) return null;
        var standing = asked.Phase == ClaimPhase.None || (bug == SamenessBug.HidesClaims && asked.Phase == ClaimPhase.Claimed) ? ProofStanding.NotOpen
            : media[at] == media[other] ? ProofStanding.Seen : ProofStanding.NotSeen;
        var isInUse = asked.Phase == ClaimPhase.InUse;
        if (bug == SamenessBug.PassesByName && standing == ProofStanding.NotSeen && !isInUse && at < other) standing = ProofStanding.NotOpen;
        var heard = look.Hear(Name(other), standing, isInUse);
        for (var i = 1; i < SamenessLook.ClaimMismatches && standing == ProofStanding.NotSeen && heard.Verdict == SamenessVerdict.Asking; i++)
            heard = heard.Hear(Name(other), standing, isInUse);
        return heard;
    }

    private static DiskClaim Restore(ClaimPhase phase)
    {
        var claim = new DiskClaim();
        if (phase != ClaimPhase.None) claim.Claim();
        if (phase == ClaimPhase.InUse) claim.End(claim.Ask("", isJoined: true, []));
        return claim;
    }
}
