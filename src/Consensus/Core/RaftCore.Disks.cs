using RaftMirror.Consensus.Model;

namespace RaftMirror.Consensus.Core;

/// <summary>The disks as witnesses (design §14.24, docs/adr/0023): where nobody is up who knows that directories were put back, they may know.</summary>
internal sealed partial class RaftCore
{
    /// <summary>An entry that a disk says is committed and that this log lacks, the disk and who wrote it; null if there is none.</summary>
    public (EntryId Committed, string Disk, NodeId Writer)? MissingByDisks =>
        _lives?.Disks.Furthest(ForgivenOf) is { } known && known.Committed.CompareTo(_log.LastId) > 0 ? known : null;

    /// <summary>What members' lives this node can testify to; null while it has nothing to say, or says something that its disk does not have yet.</summary>
    public KnownLife[]? LivesForDisks()
    {
        if (!IsAdmitted || _lives is null || _doneSequence < _termSequence) return null;
        var lives = new List<KnownLife>
        {
            new(Self, _lives.Life.Incarnation, _lives.Life.Start, OwnPromise, _lives.Life.Forgiven),
        };
        lives.AddRange(_configuration.Members.OrderBy(member => _configuration.IsVoter(member) ? 0 : 1)
            .Where(member => member != Self).Select(_lives.Witness.Of).OfType<KnownLife>());
        return [.. lives.Take(Testimony.MaxLives)];
    }

    /// <summary>Labels of disks were read, at the start or later.</summary>
    public void DisksSaid(IEnumerable<(string Disk, Testimony Said)> testimonies)
    {
        if (_lives is null || Mutants.DisksIgnored) return;
        foreach (var (disk, said) in testimonies) _lives.Disks.Hear(disk, said);
        if (_lives.Disks.Contradiction(Self, _lives.Life) is { } found) BecomeOld(default, found.Known, found.Disk);
        else if (Mutants.BehindTakenForOld && MissingByDisks is { } missing)
            BecomeOld(default, new KnownLife(Self, _lives.Life.Incarnation, _lives.Life.Start, new Promised(missing.Committed.Term, missing.Committed.Index)), missing.Disk);
        else if (_role != RaftRole.Follower && LacksWhatIsCommitted(_log.LastId)) BecomeFollower(_term, leader: null);
        _ready.LivesChanged = true;
    }

    /// <summary>Whoever has this last entry lacks what the disks, or this directory's seed, say was committed: nobody like that is elected.</summary>
    private bool LacksWhatIsCommitted(EntryId last) => last.CompareTo(VoteFloor) < 0 || last.CompareTo(DiskFloor) < 0;

    private EntryId DiskFloor => _lives?.Disks.Furthest(ForgivenOf).Committed ?? default;

    private Promised ForgivenOf(NodeId node) =>
        node == Self ? _lives!.Life.Forgiven : _lives!.Witness.Of(node)?.Forgiven ?? default;
}
