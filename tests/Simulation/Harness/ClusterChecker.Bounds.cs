using RaftMirror.Consensus.Core;
using RaftMirror.Consensus.Messages;
using RaftMirror.Consensus.Model;

namespace RaftMirror.Simulation.Harness;

/// <content>What a node claims to be durable, what never falls, what is bounded.</content>
internal sealed partial class ClusterChecker
{
    /// <summary>Commands of the workloads, and configurations of fourteen members, are smaller.</summary>
    private const int MaxEntryBytes = 8192;

    /// <summary>A flush is done.</summary>
    public static void Flushed(SimNode node)
    {
        var shadow = node.Shadow;
        if (shadow.HardState.Commit > shadow.LastIndex)
            throw new SimulationException($"9 order: on the disk of node {node.Id} the commit hint is {shadow.HardState.Commit}, the last entry {shadow.LastIndex}");
    }

    /// <summary>A leader has heard what a peer has.</summary>
    public static void Progressed(SimNode node, NodeId peer)
    {
        if (node.Core!.ProgressOf(peer) is not { } progress) return;
        if (progress.Next <= progress.Match)
        {
            throw new SimulationException(
                $"8 monotonic: leader {node.Id} goes back to {progress.Next} for node {peer}, which is known to match up to {progress.Match}");
        }

        // A new life starts with nothing known, and whoever is refused is forgotten again and again.
        var isRefused = node.Core.RefusedPeers.ContainsKey(peer);
        var start = isRefused ? 0 : node.Core.KnownOf(peer)?.Start ?? 0;
        if (isRefused || node.SeenStart.GetValueOrDefault(peer) != start) node.SeenMatch.Remove(peer);
        node.SeenStart[peer] = start;
        var seen = node.SeenMatch.GetValueOrDefault(peer);
        if (progress.Match < seen && node.LedTerm == node.Core.Term)
            throw new SimulationException($"8 monotonic: what leader {node.Id} knows of node {peer} falls from {seen} to {progress.Match}");
        node.SeenMatch[peer] = progress.Match;
    }

    /// <summary>A leader took a proposal.</summary>
    public void Proposed(RaftCore core)
    {
        var bytes = 0L;
        for (var index = core.Log.LastIndex; index > core.Commit && core.Log.TermAt(index) == core.Term; index--)
        {
            if (core.Log[index].Type == EntryType.Command) bytes += core.Log[index].SizeBytes;
        }

        if (bytes > options.MaxUncommittedBytes + MaxEntryBytes)
            throw new SimulationException($"16 bounds: {bytes} bytes are uncommitted at node {core.Self}, the limit is {options.MaxUncommittedBytes}");
    }

    private static void CheckDurable(SimNode node, RaftCore core)
    {
        var index = core.DurableIndex;
        if (index <= core.Log.Base.Index) return;
        var id = new EntryId(core.Log.TermAt(index), index);
        if (!node.Shadow.Has(id))
            throw new SimulationException($"11 durable: node {node.Id} takes {id} for durable; on disk is the log up to {node.Shadow.LastIndex}, without it");
    }

    private void CheckBounds(SimNode node, RaftCore core)
    {
        if (core.PendingReads > options.MaxPendingReads)
            throw new SimulationException($"16 bounds: node {node.Id} has {core.PendingReads} reads pending, the limit is {options.MaxPendingReads}");
        var snapshot = core.Snapshot?.Last.Index ?? 0;
        if (snapshot == node.SeenSnapshot) return;
        if (snapshot < node.SeenSnapshot)
            throw new SimulationException($"8 monotonic: the newest snapshot of node {node.Id} was {node.SeenSnapshot} and is {snapshot}");
        if (core.Log.Base.Index < node.SeenSnapshot)
        {
            throw new SimulationException(
                $"16 bounds: node {node.Id} has snapshots at {node.SeenSnapshot} and {snapshot} and keeps its log from {core.Log.Base.Index}");
        }

        node.SeenSnapshot = snapshot;
    }

    private void CheckSent(SimNode node, in Message message)
    {
        if (node.Core!.ProgressOf(message.To) is not { } progress) return;
        if (progress.InflightMessages > options.MaxInflightMessages
            || progress.InflightBytes > options.MaxInflightBytes + Math.Max(options.MaxAppendBytes, MaxEntryBytes))
        {
            throw new SimulationException(
                $"16 bounds: {progress.InflightMessages} appends of {progress.InflightBytes} bytes are on the way from node {node.Id} to node {message.To}");
        }
    }

    /// <summary>A target that lacks a proposal cannot win, and deposes the leader for nothing. Proposals stop when a transfer begins, the second half
    /// of a change of members does not.</summary>
    private void CheckHandedOver(RaftCore core, NodeId target)
    {
        var index = core.Log.LastIndex;
        while (index > core.Log.Base.Index && core.Log[index].Type == EntryType.Configuration) index--;
        var last = new EntryId(core.Log.TermAt(index), index);
        if (!nodes[target].Shadow.Has(last) && nodes[target].Former?.Has(last) != true) // What it was known to have before it was put back.
            throw new SimulationException($"raft rule 10, transfer: node {core.Self} hands over to node {target}, which does not have {last} on disk");
    }

    /// <summary>"I have everything up to there": the same entries, on disk.</summary>
    private static void CheckAcknowledged(SimNode node, RaftCore core, ulong index)
    {
        if (node.Shadow.LastIndex < index || core.Log.LastIndex < index)
        {
            throw new SimulationException(
                $"11 ack implies durable: node {node.Id} acknowledged {index}, on disk are {node.Shadow.LastIndex}");
        }

        if (index <= core.Log.Base.Index) return;
        var id = new EntryId(core.Log.TermAt(index), index);
        if (!node.Shadow.Has(id)) throw new SimulationException($"11 ack implies durable: node {node.Id} acknowledged {id}, on disk is another entry there");
    }
}
