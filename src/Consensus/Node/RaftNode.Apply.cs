using RaftMirror.Consensus.Model;
using RaftMirror.Consensus.Snapshots;
using RaftMirror.Primitives;

namespace RaftMirror.Consensus.Node;

/// <summary>
/// Applying: committed entries in order into the state machine, restores in between, checkpoints and snapshots at indices that are
/// the same on every node: both are counted in entries (and snapshots in bytes too) from the snapshot before, so that a node which was
/// restored counts like one that was not. The apply thread does it, but for a few commands, which the thread applies that learned of
/// their commit.
/// </summary>
public sealed partial class RaftNode
{
    private const int MaxAppliedByOthers = 4;
    private const int MaxBytesAppliedByOthers = 16 * 1024;

    /// <summary>Guards what is to be applied, and who does it: one thread at a time, mostly the apply thread.</summary>
    private readonly object _applyGate = new();
    private readonly object _waitersGate = new();
    private readonly PriorityQueue<TaskCompletionSource, ulong> _waiters = new();
    private readonly SortedDictionary<ulong, ulong> _ownDigests = [];
    private List<ApplyInput> _applies = [];
    private List<ApplyInput> _appliesSpare = [];
    private int _appliesEntries;
    private long _appliesBytes;
    private bool _appliesNews;
    private bool _isApplying;
    private ulong _applied;
    private LogStatus? _announced;

    // Of whoever applies.
    private Configuration _appliedConfiguration = Configuration.Empty;
    private ulong _appliedTerm;
    private ulong _stateChain;
    private ulong _entriesSinceSnapshot;
    private long _bytesSinceSnapshot;

    private void QueueApply(ApplyInput input)
    {
        lock (_applyGate)
        {
            _applies.Add(input);
            _appliesEntries += input.Entries.Length;
            foreach (ref readonly var entry in input.Entries.AsSpan()) _appliesBytes += entry.Payload.Length;
            _appliesNews |= input.IsNews;
        }
    }

    /// <summary>After the core was let go of: applies a few commands on this thread, once; everything else is the apply thread's.</summary>
    private void ApplyHere()
    {
        List<ApplyInput>? inputs = null;
        lock (_applyGate)
        {
            var isLittle = !_appliesNews && _appliesEntries <= MaxAppliedByOthers && _appliesBytes <= MaxBytesAppliedByOthers;
            if (isLittle && !_isApplying && _applies.Count > 0 && !_stopping.IsCancellationRequested && !_isOver) inputs = TakeApplies();
        }

        if (inputs is not null && Apply(inputs)) Hold();
        WakeApply();
    }

    private void WakeApply()
    {
        lock (_applyGate)
        {
            if (_applies.Count > 0 && !_isApplying) Monitor.PulseAll(_applyGate);
        }
    }

    private void RunApply()
    {
        while (true)
        {
            List<ApplyInput> inputs;
            lock (_applyGate)
            {
                while (_isApplying || _applies.Count == 0)
                {
                    if (_stopping.IsCancellationRequested || _isOver) return;
                    Monitor.Wait(_applyGate);
                }

                if (_stopping.IsCancellationRequested || _isOver) return;
                inputs = TakeApplies();
            }

            if (Apply(inputs)) CarryOutAndPassOn();
        }
    }

    private List<ApplyInput> TakeApplies()
    {
        (_applies, _appliesSpare) = (_appliesSpare, _applies);
        _appliesEntries = 0;
        _appliesBytes = 0;
        _appliesNews = false;
        _isApplying = true;
        return _appliesSpare;
    }

    /// <returns>True if this thread has the core now, and must carry out what waits.</returns>
    private bool Apply(List<ApplyInput> inputs)
    {
        try
        {
            var isNews = false;
            foreach (var input in inputs)
            {
                isNews |= input.IsNews;
                if (Quarantine is not null) continue; // What is applied stays as it is, to be looked at.
                if (input.Installed is { } snapshot) Restore(snapshot);
                foreach (ref readonly var entry in input.Entries.AsSpan())
                {
                    if (_isOver || !TryApply(entry)) break;
                }
            }

            inputs.Clear();
            if (isNews) Announce();

            // In order: nobody else applies before it is in the queue.
            return TryTake(new LoopInput.Applied(new EntryId(_appliedTerm, _applied)));
        }
        catch
        {
            _isOver = true;
            throw;
        }
        finally
        {
            lock (_applyGate)
            {
                _isApplying = false;
                if (_applies.Count > 0 || _stopping.IsCancellationRequested || _isOver) Monitor.PulseAll(_applyGate);
            }
        }
    }

    /// <returns>False if this node's state has turned out to be another than the majority's.</returns>
    private bool TryApply(in LogEntry entry)
    {
        ReadOnlyMemory<byte> result = default;
        switch (entry.Type)
        {
            case EntryType.Command:
                result = _stateMachine.Apply(new LogPosition(entry.Index), entry.Term, entry.Payload.Span);
                break;
            case EntryType.Configuration:
                ConfigurationCodec.TryDecode(entry.Payload.Span, out _appliedConfiguration);
                break;
            case EntryType.Digest:
                if (HasDiverged(DigestVerdict.Decode(entry.Payload.Span))) return false;
                break;
        }

        _stateChain = Mix(Mix(_stateChain, entry.Index ^ (entry.Term << 40)), Crc32C.Compute(result.Span));
        PublishApplied(entry.Id);
        Checkpoint(entry);
        var isOwn = entry.Proposal.Node == Self.Value && entry.Proposal.Incarnation == Incarnation;
        if (isOwn && _proposals.TryRemove(entry.Proposal.Sequence, out var proposal))
            proposal.Finish(new CommitResult(ProposalOutcome.Committed, new LogPosition(entry.Index), result, null));
        return true;
    }

    /// <summary>Applied is visible before the proposer is told, so that it never finds itself behind its own command.</summary>
    private void PublishApplied(EntryId last)
    {
        lock (_waitersGate)
        {
            _appliedTerm = last.Term;
            Volatile.Write(ref _applied, last.Index);
            while (_waiters.TryPeek(out var waiter, out var wanted) && wanted <= last.Index)
            {
                _waiters.Dequeue();
                waiter.TrySetResult();
            }
        }
    }

    private void Checkpoint(in LogEntry entry)
    {
        _entriesSinceSnapshot++;
        _bytesSinceSnapshot += entry.SizeBytes;
        var takesSnapshot = _entriesSinceSnapshot >= (ulong)_options.SnapshotEntries || _bytesSinceSnapshot >= _options.SnapshotBytes;
        if (takesSnapshot || _entriesSinceSnapshot % (ulong)_options.CheckpointEntries == 0)
        {
            var digest = Mix(_stateChain, _stateMachine.StateHash);
            _ownDigests[entry.Index] = digest;
            while (_ownDigests.Count > MaxOwnDigests) _ownDigests.Remove(_ownDigests.First().Key);
            Post(new LoopInput.Digest(entry.Index, digest));
        }

        if (!takesSnapshot) return;
        _entriesSinceSnapshot = 0;
        _bytesSinceSnapshot = 0;

        // A node that joined and reads the log from its start does not know yet who took part then: its snapshot would be another one.
        if (_appliedConfiguration.Voters.Length == 0) return;
        QueueSnapshot(new SnapshotJob(entry.Id, _appliedConfiguration, _stateChain, _stateMachine.BeginSnapshot()));
    }

    private void Restore(SnapshotMeta snapshot)
    {
        using (var reader = _snapshots.OpenVerified(snapshot.Last)) Restore(reader);
        _snapshots.UnpinThrough(snapshot.Last);
        PublishApplied(snapshot.Last);
        NodeLogMessages.Restored(_logger, Self, snapshot.Last.Index, snapshot.LengthBytes);
    }

    private void Restore(SnapshotReader reader)
    {
        reader.RestoreInto(_stateMachine);
        _appliedConfiguration = reader.Meta.Configuration;
        _stateChain = reader.StateChain;
        _entriesSinceSnapshot = 0;
        _bytesSinceSnapshot = 0;
        _ownDigests.Clear();
    }

    /// <summary>Tells subscribers of changes of leadership, epoch or members; by whoever applies, so in order.</summary>
    private void Announce()
    {
        var status = Status;
        var isNews = _announced is not { } last || last.IsLeader != status.IsLeader || last.Epoch != status.Epoch || last.Leader != status.Leader
            || (!ReferenceEquals(last.Members, status.Members) && !last.Members.Select(Who).SequenceEqual(status.Members.Select(Who)));
        if (!isNews) return;
        _announced = status;
        StatusChanged?.Invoke(status);

        static (NodeId, string, bool, string, byte) Who(MemberStatus member) =>
            (member.Id, member.Address, member.IsVoter, member.Name, member.Priority);
    }

    /// <summary>Stafford's mixer over a running value: cheap, and every bit counts. No defence against malice.</summary>
    private static ulong Mix(ulong chain, ulong value)
    {
        var x = (chain ^ value) + 0x9E3779B97F4A7C15;
        x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9;
        x = (x ^ (x >> 27)) * 0x94D049BB133111EB;
        return x ^ (x >> 31);
    }
}
