using RaftMirror.Consensus.Core;
using RaftMirror.Consensus.Model;
using RaftMirror.Consensus.Snapshots;
using RaftMirror.Primitives;

namespace RaftMirror.Simulation.Harness;

/// <content>The state machine's side of a node: applying behind the core, checkpoints, snapshots, fetching them, divergence.</content>
internal sealed partial class ClusterSimulation
{
    private long _snapshotsTaken;
    private long _snapshotsInstalled;
    private long _receptionsResumed;
    private long _sourcesChanged;

    private void QueueApply(SimNode node, ApplyItem item)
    {
        if (item.Installed is not null)
        {
            // Their entries may be among those that the snapshot covers: nobody will ever say.
            ReadOnlyMemory<byte>[] unknown = [.. node.Proposals.Values];
            node.Proposals.Clear();
            foreach (var command in unknown) _workload.Unknown(command);
        }

        node.Applying.Enqueue(item);
        if (_parameters.ApplyMs == 0 && !node.IsApplying) ApplyAll(node);
        else ScheduleApply(node);
    }

    private void ScheduleApply(SimNode node)
    {
        if (node.IsApplying || node.Applying.Count == 0) return;
        node.IsApplying = true;
        var core = node.Core;

        // At rest what piled up is worked off: a machine slower than its clients would not come to an end in time.
        At(_isResting ? 0 : _random.Next(1 + _parameters.ApplyMs), () => GoOn(node, core!));
    }

    private void GoOn(SimNode node, RaftCore core)
    {
        if (!ReferenceEquals(node.Core, core)) return;
        if (node.IsPaused)
        {
            node.WhilePaused.Add(() => GoOn(node, core));
            return;
        }

        node.IsApplying = false;
        ApplyNext(node);
        ScheduleApply(node);
    }

    private void ApplyAll(SimNode node)
    {
        while (node.Applying.Count > 0) ApplyNext(node);
    }

    private void ApplyNext(SimNode node)
    {
        if (node.Applying.Count == 0) return;
        var item = node.Applying.Dequeue();
        if (node.IsQuarantined) return; // What is applied stays as it is, to be looked at.

        // The checker learns what is committed before anyone is told.
        _checker.Stepped(node);
        if (item.Installed is { } installed)
        {
            using var reader = node.Store!.OpenVerified(installed.Last);
            RestoreFrom(node, reader);
            node.Applied = installed.Last.Index;
            _snapshotsInstalled++;
            Trace("restore", node.Id, installed.Last.Index);
            node.Core!.Applied(Math.Max(node.Core.AppliedIndex, node.Applied));
        }

        foreach (var entry in item.Entries)
        {
            if (!ApplyOne(node, entry)) return;
        }

        if (item.Entries.Length > 0)
        {
            Trace("apply", node.Id, node.Applied, item.Entries[^1].Term);
            node.Core!.Applied(node.Applied);
        }

        ServeReads(node);
    }

    /// <returns>False if the node found that it has diverged, or was ended by its workload.</returns>
    private bool ApplyOne(SimNode node, in LogEntry entry)
    {
        if (entry.Index != node.Applied + 1) throw new SimulationException($"9 order: node {node.Id} applies {entry.Index} after {node.Applied}");
        ReadOnlyMemory<byte> result = default;
        node.Applied = entry.Index;
        switch (entry.Type)
        {
            case EntryType.Command:
                result = node.StateMachine!.Apply(new LogPosition(entry.Index), entry.Term, entry.Payload.Span).ToArray();
                if (!node.IsCorrupt) _workload.Applied(node.Id, node.StateMachine, new LogPosition(entry.Index), entry.Payload, result);
                break;
            case EntryType.Configuration:
                node.AppliedConfiguration = MemberImage.Decode(entry);
                break;
            case EntryType.Digest:
                if (!Compare(node, DigestVerdict.Decode(entry.Payload.Span))) return false;
                break;
        }

        node.StateChain = Chain(Chain(node.StateChain, entry.Index ^ (entry.Term << 40)), Crc32C.Compute(result.Span));
        _checker.Applied(node, entry, result);
        Checkpoint(node, entry);
        var isOwn = entry.Proposal.Node == node.Id.Value && entry.Proposal.Incarnation == node.Incarnation;
        if (isOwn && node.Proposals.Remove(entry.Proposal.Sequence, out var command) && !node.IsCorrupt)
        {
            _checker.Acknowledged(entry);
            Acknowledged++;
            _workload.Acknowledged(command, new LogPosition(entry.Index), result);
        }

        return node.IsUp;
    }

    private static ulong Chain(ulong chain, ulong value) => (chain ^ value) * 1099511628211;

    private void Checkpoint(SimNode node, in LogEntry entry)
    {
        if (_parameters.SnapshotEvery == 0) return;
        var takesSnapshot = entry.Index % (ulong)_parameters.SnapshotEvery == 0;
        if (takesSnapshot || entry.Index % (ulong)_parameters.CheckpointEvery == 0)
        {
            var digest = Chain(node.StateChain, node.StateMachine!.StateHash);
            node.OwnDigests[entry.Index] = digest;
            if (node.OwnDigests.Count > 64) node.OwnDigests.Remove(node.OwnDigests.First().Key);
            node.Core!.ReportDigest(entry.Index, digest);
        }

        // A node that joined and reads the log from its start does not know yet who took part then.
        if (!takesSnapshot || node.IsWritingSnapshot || node.AppliedConfiguration.Voters.Length == 0) return;
        node.IsWritingSnapshot = true;
        var (last, configuration, chain, core, machine) = (entry.Id, node.AppliedConfiguration, node.StateChain, node.Core, node.StateMachine);
        var source = node.StateMachine!.BeginSnapshot();
        var isCorrupt = node.IsCorrupt;
        At(1 + _random.Next(4 * _parameters.DiskMs), () =>
        {
            if (!ReferenceEquals(node.Core, core)) return;
            node.IsWritingSnapshot = false;
            SnapshotMeta meta;
            if (isCorrupt) node.Tainted.Add(last);
            try
            {
                meta = node.Store!.Write(last, configuration, chain, Mutants.AppliedIndexApart ? machine!.BeginSnapshot() : source);
            }
            catch (IOException)
            {
                if (node.Power.IsOut) Crash(node, power: true);
                return; // A full disk costs log space, nothing else.
            }

            if (!isCorrupt) node.Tainted.Remove(last);
            _snapshotsTaken++;
            Trace("snapshot", node.Id, last.Index, meta.Crc);
            _checker.Snapshot(node, meta);
            At(_random.Next(3), () =>
            {
                if (ReferenceEquals(node.Core, core)) Step(node, it => it.SnapshotTaken(meta));
            });
        });
    }

    private void RestoreFrom(SimNode node, SnapshotReader reader)
    {
        reader.RestoreInto(node.StateMachine!);
        node.AppliedConfiguration = reader.Meta.Configuration;
        node.StateChain = reader.StateChain;
        node.OwnDigests.Clear();
        node.IsCorrupt = node.Tainted.Contains(reader.Meta.Last);
        if (!node.IsCorrupt) _checker.Snapshot(node, reader.Meta);
        _workload.Restored(node.Id, node.StateMachine!);
    }

    /// <summary>Compares a majority's digest with the node's own.</summary>
    private bool Compare(SimNode node, DigestVerdict verdict)
    {
        if (!node.OwnDigests.TryGetValue(verdict.Index, out var own) || (verdict.IsAgreed && verdict.Value == own)) return true;
        Trace("quarantine", node.Id, verdict.Index);
        if (!node.IsCorrupt) throw new SimulationException($"divergence: node {node.Id} is barred at {verdict.Index}, and its state is right");
        node.IsQuarantined = true;
        node.Core!.Bar();
        return false;
    }

    private void Offered(SimNode node, OfferedSnapshot offer)
    {
        node.Receiver!.Offered(offer.From, new SnapshotOffer(offer.Last, offer.LengthBytes, offer.Crc), node.LocalTime(_now));
        Receive(node, node.Core!);
    }

    /// <summary>What KeepSnapshotsAsync does: asks the receiver what to do until there is nothing.</summary>
    private void Receive(SimNode node, RaftCore core)
    {
        while (ReferenceEquals(node.Core, core))
        {
            var step = node.Receiver!.Next(node.LocalTime(_now));
            try
            {
                if (!Receive(node, core, step)) return;
            }
            catch (IOException error)
            {
                if (node.Power.IsOut)
                {
                    Crash(node, power: true);
                    return;
                }

                node.Incoming = null;
                node.Receiver.StoreFailed(step.Ticket, error.Message);
            }
        }
    }

    /// <returns>True if the receiver has more to do at once.</returns>
    private bool Receive(SimNode node, RaftCore core, ReceiverStep step)
    {
        switch (step.Kind)
        {
            case ReceiverStepKind.Begin:
                if (step.StartsOver) node.Incoming?.Discard();
                node.Incoming?.Dispose();
                node.Incoming = node.Store!.BeginReceive(step.Offer);
                if (node.Incoming.ReceivedBytes > 0) _receptionsResumed++;
                node.Receiver!.Began(step.Ticket, node.Incoming.ReceivedBytes);
                node.ReceivesFrom = null;
                return true;
            case ReceiverStepKind.Request:
                RequestChunk(node, core, step);
                WakeReceiver(node, core, step.WakeMs);
                return false;
            case ReceiverStepKind.Append:
                if (node.ReceivesFrom is { } before && before != step.Source) _sourcesChanged++;
                node.ReceivesFrom = step.Source;
                var refusal = node.Incoming!.AppendChunk(step.Chunk!.Offset, step.Chunk.Bytes.Span, step.Chunk.Crc);
                node.Receiver!.Appended(step.Ticket, node.Incoming.ReceivedBytes, refusal, node.LocalTime(_now));
                return true;
            case ReceiverStepKind.Commit:
                CommitReception(node, core, step);
                return true;
            case ReceiverStepKind.Wait when step.WakeMs != long.MaxValue:
                WakeReceiver(node, core, step.WakeMs);
                return false;
            default:
                return false;
        }
    }

    private void CommitReception(SimNode node, RaftCore core, ReceiverStep step)
    {
        try
        {
            var meta = node.Incoming!.Commit();
            node.Receiver!.Committed(step.Ticket);
            node.Tainted.Remove(meta.Last);
            _checker.Snapshot(node, meta);
            Trace("received", node.Id, meta.Last.Index, meta.Crc);
            if (node.ReseedFrom == meta.Last) SeedAnew(node, meta.Last);
            At(_random.Next(1 + _parameters.DiskMs), () =>
            {
                if (ReferenceEquals(node.Core, core)) Step(node, it => it.InstallSnapshot(meta));
            });
        }
        catch (InvalidDataException refused)
        {
            node.Receiver!.CommitRefused(step.Ticket, refused.Message, node.LocalTime(_now));
        }

        node.Incoming = null;
    }

    /// <summary>What ReseedAsync does once it has the snapshot; then the process is started anew.</summary>
    private void SeedAnew(SimNode node, EntryId from)
    {
        node.ReseedFrom = null;
        foreach (var last in node.Store!.List())
        {
            if (last != from) node.Store.Delete(last);
        }

        node.Tainted.Clear();
        node.IsQuarantined = false;
        Crash(node, power: false);
    }

    private void WakeReceiver(SimNode node, RaftCore core, long wakeMs) =>
        At(Math.Max(1, wakeMs - node.LocalTime(_now)), () => Resumed(node, core, () => Receive(node, core)));

    private void RequestChunk(SimNode node, RaftCore core, ReceiverStep step) => Carry(node.Id, step.Source, source =>
    {
        // What is wrong is not spread before it is found: a majority must stay right. So that it is found, somebody else has to lead: who waits
        // for the snapshot cannot say what is right, and of the others there may be no majority.
        var isTainted = source.Tainted.Contains(step.Request.Last);
        var isGiven = !source.IsQuarantined && !isTainted;
        if (isTainted && source.Core!.Role == RaftRole.Leader && source.Core.Configuration.Voters
            .Where(id => id != source.Id && id != node.Id && _nodes[id] is { IsUp: true, IsCorrupt: false }).Cast<NodeId?>().FirstOrDefault() is { } right)
        {
            Step(source, it => it.TransferLeadership(right));
        }

        var answer = isGiven
            ? source.Store!.ReadChunk(step.Request.Last, step.Request.Offset, step.Request.LengthBytes)
            : ChunkAnswer.Failed(ChunkStatus.Gone);
        Carry(source.Id, node.Id, _ =>
        {
            if (!ReferenceEquals(node.Core, core)) return;
            node.Receiver!.Answered(step.Ticket, answer, node.LocalTime(_now));
            Receive(node, core);
        });
    });

    private static void Resumed(SimNode node, RaftCore core, Action action)
    {
        if (!ReferenceEquals(node.Core, core)) return;
        if (node.IsPaused) node.WhilePaused.Add(() => Resumed(node, core, action));
        else action();
    }
}
