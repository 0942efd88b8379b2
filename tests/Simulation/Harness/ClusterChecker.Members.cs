using RaftMirror.Consensus.Core;
using RaftMirror.Consensus.Model;

namespace RaftMirror.Simulation.Harness;

/// <content>Membership, snapshots, leases, watchdogs.</content>
internal sealed partial class ClusterChecker
{
    private readonly List<(ulong Index, Configuration Configuration)> _members = [(0, initial)];
    private readonly Dictionary<ulong, Configuration> _floating = [];
    private readonly Dictionary<ulong, (EntryId Last, uint Crc, long Bytes)> _snapshots = [];

    /// <summary>The newest committed configuration.</summary>
    public Configuration Members => _members[^1].Configuration;

    /// <summary>Every configuration that may be in force on some node, or still come into force.</summary>
    public IEnumerable<Configuration> PossibleMembers => _floating.Values.Append(Members);

    public Configuration MembersAt(ulong index) => _members.FindLast(known => known.Index <= index).Configuration;

    /// <summary>True if these nodes are a majority of each voter set of every configuration that counts or may come to count.</summary>
    public bool HasQuorum(Func<NodeId, bool> isThere) => PossibleMembers.All(known => HasQuorum(known, isThere));

    public static bool HasQuorum(Configuration configuration, Func<NodeId, bool> isThere) =>
        configuration.Voters.Count(isThere) > configuration.Voters.Length / 2
        && (!configuration.IsJoint || configuration.OutgoingVoters.Count(isThere) > configuration.OutgoingVoters.Length / 2);

    /// <summary>A node has taken or received a snapshot.</summary>
    public void Snapshot(SimNode node, SnapshotMeta meta)
    {
        if (node.IsCorrupt || node.Tainted.Contains(meta.Last)) return;
        var index = meta.Last.Index;
        if (index > (ulong)_committed.Count || _committed[(int)index - 1].Id != meta.Last)
            throw new SimulationException($"7 committed immutable: node {node.Id} has a snapshot up to {meta.Last}, which is not committed");
        if (!_snapshots.TryAdd(index, (meta.Last, meta.Crc, meta.LengthBytes)) && _snapshots[index] != (meta.Last, meta.Crc, meta.LengthBytes))
            throw new SimulationException($"17 identical snapshots: that of node {node.Id} at {index} differs from another's");
        if (!MemberImage.AreEqual(MembersAt(index), meta.Configuration))
            throw new SimulationException($"13 configuration: the snapshot of node {node.Id} at {index} says {meta.Configuration}, committed was {MembersAt(index)}");
    }

    /// <summary>After the timers of a node ran.</summary>
    public static void Ticked(SimNode node, RaftCoreOptions options, long nowMs, bool hasWrite)
    {
        if (node.Core is not { Role: RaftRole.Leader } core) return;
        if (hasWrite && !core.IsLogShort && nowMs - node.WriteSinceMs > options.DiskStallMs + options.ElectionTimeoutMaxMs)
            throw new SimulationException($"disk watchdog: node {node.Id} leads though its disk has hung for {nowMs - node.WriteSinceMs} ms");
        var limit = nowMs - options.ElectionTimeoutMaxMs;
        bool IsHeard(NodeId id) => id == node.Id || node.HeardMs.TryAdd(id, nowMs) || node.HeardMs[id] >= limit;
        if (!HasQuorum(core.Configuration, IsHeard))
            throw new SimulationException($"check-quorum: node {node.Id} leads though it has not heard a majority of {core.Configuration} for too long");
    }

    /// <summary>At any moment at most one node may think that its lease is valid.</summary>
    public void CheckLeases(SimNode node, long now)
    {
        if (!IsLeaseHeld(node, now)) return;
        foreach (var other in nodes.Values)
        {
            if (other != node && IsLeaseHeld(other, now))
                throw new SimulationException($"15 leases: nodes {node.Id} (term {node.Core!.Term}) and {other.Id} (term {other.Core!.Term}) hold one at {now} ms");
        }
    }

    private static bool IsLeaseHeld(SimNode node, long now) => node.Core is { } core && node.LocalTime(now) < core.LeaseUntilMs;

    private void CheckMembers(SimNode node, RaftCore core)
    {
        var (index, implied) = node.Members.Newest;
        if (ReferenceEquals(node.SeenConfiguration, core.Configuration) && ReferenceEquals(node.SeenImplied, implied) && core.ConfigurationIndex == index)
            return;
        if (core.ConfigurationIndex != index || !MemberImage.AreEqual(core.Configuration, implied))
        {
            throw new SimulationException(
                $"13 configuration: node {node.Id} uses {core.Configuration} of {core.ConfigurationIndex}, its log says {implied} of {index}");
        }

        if (node.Members.PreviousIndex > (ulong)_committed.Count)
            throw new SimulationException($"12 one uncommitted configuration: node {node.Id} has two, at {node.Members.PreviousIndex} and {index}");
        node.SeenImplied = implied;
    }

    /// <summary>A configuration enters a log for the first time.</summary>
    /// <returns>It.</returns>
    private Configuration CheckProposed(SimNode node, in LogEntry entry, Configuration before)
    {
        var after = MemberImage.Decode(entry);
        _floating[entry.Index ^ (entry.Term << 40)] = after;
        var isStep = before.IsJoint
            ? !after.IsJoint && after.Voters.SequenceEqual(before.Voters)
            : after.IsJoint ? after.OutgoingVoters.SequenceEqual(before.Voters) : after.Voters.SequenceEqual(before.Voters);
        if (!isStep) throw new SimulationException($"12 joint never skipped: from {before} to {after} at {entry.Id}");
        if (after.NextId < before.NextId || after.Members.Any(id => id.Value < before.NextId && before.SlotOf(id) < 0))
            throw new SimulationException($"12 numbers are never given again: from {before} to {after} at {entry.Id}");
        var core = node.Core!;
        if (core.Role == RaftRole.Leader && core.Term == entry.Term && core.Log.TermAt(core.Commit) != core.Term)
            throw new SimulationException($"12 a configuration needs a commit in the own term: node {node.Id} proposed {entry.Id}, committed is {core.Commit}");
        return after;
    }

    private void CommitMembers(ulong index, Configuration configuration)
    {
        _members.Add((index, configuration));
        foreach (var key in _floating.Keys.ToArray())
        {
            if ((key & ((1UL << 40) - 1)) <= index) _floating.Remove(key);
        }
    }
}
