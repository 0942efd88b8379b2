using System.Globalization;
using RaftMirror.DataPlane.DiskIo.Core;

namespace RaftMirror.Simulation.Disks;

/// <summary>A call on a disk fails on one node, which asks the other nodes that serve, again and again, until it has a verdict: all that the disk can
/// be for each of them, all delays of their answers, deaths too. The decision is the product's own; rounds and bound are those of the daemon
/// (<c>LegFailures</c>).</summary>
/// <remarks>What must hold (design §14.20, ADR 0021): no disk is lost that another node can use at the place, unless the place takes no write of a
/// node that writes elsewhere; no node goes without a disk that nobody can use, or on which it only met a bad place; the verdict comes as soon as
/// all have spoken, and within the bound in any case.</remarks>
internal sealed class FailureStory
{
    /// <summary>Rounds until what is silent, or gets no answer, is waited for no more. A node that is silent for longer is fenced before.</summary>
    private const int Bound = 4;

    private static readonly DiskAnswer[] Truths = [DiskAnswer.Fine, DiskAnswer.Hangs, DiskAnswer.Fails];

    /// <summary>Worlds that were looked at.</summary>
    public int Worlds { get; private set; }

    /// <summary>Worlds in which the disk was lost.</summary>
    public int Losses { get; private set; }

    /// <summary>Worlds in which the node went without the disk.</summary>
    public int Paths { get; private set; }

    /// <summary>Goes through all worlds of a node with so many others.</summary>
    /// <returns>What was broken, or null.</returns>
    public string? Run(int others)
    {
        foreach (var isWrite in (bool[])[false, true])
        {
            foreach (var own in Truths)
            {
                foreach (var world in Peers(others))
                {
                    Worlds++;
                    if (Check(isWrite, own, world) is { } broken)
                        return $"{broken}: a failed {(isWrite ? "write" : "read")}, own {own}, others {string.Join(", ", world.Select(Describe))}";
                }
            }
        }

        return null;
    }

    private string? Check(bool isWrite, DiskAnswer own, Peer[] peers)
    {
        for (var round = 0; round <= Bound; round++)
        {
            var asked = peers.Where(peer => !peer.IsFencedBy(round)).ToList();
            var verdict = FailureJudge.Judge(isWrite, own, [.. asked.Select(peer => peer.AnswerIn(round))], hasWaited: round == Bound);
            if (verdict == FailureVerdict.Wait)
            {
                if (asked.TrueForAll(peer => peer.AnswerIn(round) == DiskAnswer.Fails)) return "all have spoken, and it waits";
                continue;
            }

            var canOthers = asked.Exists(static peer => peer.Truth == DiskAnswer.Fine);
            var isPlace = isWrite && own == DiskAnswer.Fine; // Its other writes get through.
            if (verdict == FailureVerdict.Medium)
            {
                Losses++;
                return canOthers && !isPlace ? $"the disk is lost in round {round}, and another node can use it" : null;
            }

            Paths++;
            if (!canOthers) return $"the node goes without the disk in round {round}, and nobody can use it";
            return isPlace ? $"the node goes without the disk in round {round}, and would find nothing wrong but the place, for ever" : null;
        }

        return "no verdict within the bound";
    }

    private static IEnumerable<Peer[]> Peers(int count)
    {
        if (count == 0) return [[]];
        return from rest in Peers(count - 1) from one in All() select (Peer[])[.. rest, one];
    }

    /// <summary>What the disk is for the node when it is asked at last, from which round on its answer comes, and when it is fenced.</summary>
    private static IEnumerable<Peer> All()
    {
        foreach (var truth in Truths)
        {
            for (var silent = 0; silent < Bound; silent++)
            {
                // A probe that was slow: no answer from the disk before the last round that waits.
                for (var slow = 0; slow < Bound - silent; slow++) yield return new Peer(truth, silent, silent + slow, int.MaxValue);
            }
        }

        for (var fenced = 1; fenced < Bound; fenced++) yield return new Peer(DiskAnswer.Fine, Bound, Bound, fenced); // Dead: fine says nothing.
    }

    private static string Describe(Peer peer) => peer.FencedIn < int.MaxValue
        ? string.Create(CultureInfo.InvariantCulture, $"dead, fenced by round {peer.FencedIn}")
        : string.Create(CultureInfo.InvariantCulture, $"{peer.Truth} (silent until {peer.SilentUntil}, slow until {peer.SlowUntil})");

    private sealed record Peer(DiskAnswer Truth, int SilentUntil, int SlowUntil, int FencedIn)
    {
        public bool IsFencedBy(int round) => round >= FencedIn;

        public DiskAnswer AnswerIn(int round) => round < SilentUntil ? DiskAnswer.Unknown : round < SlowUntil ? DiskAnswer.Hangs : Truth;
    }
}
