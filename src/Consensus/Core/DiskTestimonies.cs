using RaftMirror.Consensus.Model;

namespace RaftMirror.Consensus.Core;

/// <summary>
/// What the disks have said in this process life (design §14.24; the rules and their proof: docs/adr/0023). Two things follow from it. A member's life that
/// a disk knows is held against that member as if a peer knew it. And nobody is elected who lacks an entry that a disk says was committed:
/// a node that is merely behind has nothing to fear from that, since it may vote for those who have it. Nothing of this is kept: a label
/// that was forged or has gone bad counts only as long as it is there.
/// </summary>
internal sealed class DiskTestimonies
{
    private readonly SortedDictionary<string, Testimony> _said = new(StringComparer.Ordinal);

    /// <summary>Takes in what is on a disk; of two things that one disk said the further one stays.</summary>
    public void Hear(string disk, Testimony testimony)
    {
        if (_said.TryGetValue(disk, out var before) && before.Committed.CompareTo(testimony.Committed) > 0) return;
        _said[disk] = testimony;
    }

    /// <summary>What the disks know that cannot be true if this claim is; of several lives and promises the furthest.</summary>
    /// <returns>Null if nothing contradicts the claim; else that, and the disk that knows the latest life.</returns>
    public (KnownLife Known, string Disk)? Contradiction(NodeId node, NodeLife claim)
    {
        (KnownLife Known, string Disk)? found = null;
        foreach (var (disk, testimony) in _said)
        {
            foreach (var life in testimony.Lives)
            {
                if (life.Node != node || !Witness.Contradicts(life, claim)) continue;
                if (found is not { } other) found = (life, disk);
                else if (life.Incarnation > other.Known.Incarnation)
                    found = (life with { Promised = Promised.Max(life.Promised, other.Known.Promised) }, disk);
                else found = (other.Known with { Promised = Promised.Max(life.Promised, other.Known.Promised) }, other.Disk);
            }
        }

        return found;
    }

    /// <summary>The last entry that was committed as far as the disks know, but for what writers said who have given that history up since.</summary>
    /// <param name="forgivenOf">What a node was last seeded anew with.</param>
    /// <returns>It, and where it stands; (0, 0) if nothing is known.</returns>
    public (EntryId Committed, string Disk, NodeId Writer) Furthest(Func<NodeId, Promised> forgivenOf)
    {
        (EntryId Committed, string Disk, NodeId Writer) furthest = (default, "", default);
        foreach (var (disk, testimony) in _said)
        {
            if (testimony.Committed.CompareTo(furthest.Committed) <= 0) continue;
            var given = forgivenOf(testimony.Writer);
            if (given.CompareTo(new Promised(testimony.Committed.Term, testimony.Committed.Index)) >= 0) continue;
            furthest = (testimony.Committed, disk, testimony.Writer);
        }

        return furthest;
    }
}
