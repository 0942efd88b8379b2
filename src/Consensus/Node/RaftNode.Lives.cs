using System.Text;
using RaftMirror.Consensus.Core;
using RaftMirror.Consensus.Model;

namespace RaftMirror.Consensus.Node;

/// <summary>What keeps a node from taking part in the log: design §14.24.</summary>
public enum OutcastKind
{
    /// <summary>Its data directory is older than it was once: it was put back from a copy.</summary>
    Old,

    /// <summary>Its committed history and another node's contradict each other.</summary>
    Conflict,
}

/// <summary>Why a node takes no part.</summary>
/// <param name="Kind">Which of the two.</param>
/// <param name="Reason">For people.</param>
/// <param name="Peers">Who knows better, or contradicts; empty if the disks said so.</param>
public sealed record Outcast(OutcastKind Kind, string Reason, IReadOnlyList<NodeId> Peers);

/// <summary>
/// Directories that were put back: tells what the core has found, keeps it on disk, and gives the directory's history up when the operator says so.
/// <code>
/// raft.seed: 0 1 1 if a node that does not lead may answer → 8 floor term, 8 floor index, 8 term, 8 index; or the text of the refusal, which has other lengths
/// </code>
/// </summary>
public sealed partial class RaftNode
{
    private const string SeedMethod = "raft.seed";
    private const int SeedBytes = 32;
    private readonly TaskCompletionSource<Outcast> _castOut = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly TaskCompletionSource _conflictEnded = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly List<(EntryId Mark, TaskCompletionSource<SeedPoint?> Answer)> _seedMarks = [];
    private volatile Outcast? _outcast;
    private volatile Dictionary<NodeId, string> _refusedPeers = [];
    private volatile LifeNote _note = new(null, null);

    /// <summary>Why this node takes no part in the log; null if nothing is known against it. Any thread.</summary>
    public Outcast? Outcast => _outcast;

    /// <summary>Completes when this node ceases to take part, at once if that was so before.</summary>
    public Task<Outcast> CastOut => _castOut.Task;

    /// <summary>Peers have seen later lives of this node and do not let this one in: once cast out, it is to be disposed and started again, which
    /// gives it a later number. Any thread.</summary>
    public bool IsOutlived => _note.Old is { } old && old.KnownIncarnation > Incarnation;

    /// <summary>Completes when all that contradicted this node's history have given theirs up: this object is then to be disposed and started again.</summary>
    public Task ConflictEnded => _conflictEnded.Task;

    /// <summary>Peers that this node has found to have gone back in time, and how it knows. Any thread.</summary>
    public IReadOnlyDictionary<NodeId, string> RefusedPeers => _refusedPeers;

    /// <summary>This process's start: random, 16 hexadecimal digits. It goes through the log beside the incarnation.</summary>
    public string StartId => _identity.Record.Starts![0];

    /// <summary>What this directory remembers of one of its lives.</summary>
    /// <returns>Null if it has no memory of it.</returns>
    public string? StartIdOf(ulong incarnation)
    {
        var back = Incarnation - incarnation;
        var starts = _identity.Record.Starts!;
        return incarnation <= Incarnation && back < (ulong)starts.Length ? starts[back] : null;
    }

    /// <summary>The replicated state tells of a life of this node.</summary>
    /// <param name="incarnation">Of that life.</param>
    /// <param name="start">Its start.</param>
    /// <returns>True if this directory cannot be as new as it was: this node takes no part any more.</returns>
    public bool TestAgainst(ulong incarnation, string start)
    {
        if (!IsUnknownLife(incarnation, start)) return false;
        Post(new LoopInput.FoundOld(new KnownLife(Self, incarnation, Convert.ToUInt64(start, 16), default)));
        return true;
    }

    private bool IsUnknownLife(ulong incarnation, string start) =>
        incarnation > Incarnation || (StartIdOf(incarnation) is { } own ? own != start : false);

    private static LifeStart LifeStartOf(RaftNodeOptions options, DirectoryIdentity identity, RecoveredState recovered, IReadOnlyList<KnownLife> known)
    {
        var last = recovered.Base.Index + (ulong)recovered.Entries.Count;
        var life = identity.LifeWith(new Promised(recovered.HardState.Term, last));
        var note = LifeNote.Load(options.DataDirectory);
        return new LifeStart(life, known, note.OldOf(options.Self, life), note.ConflictOf(), options.AsksDisks);
    }

    /// <summary>By whoever has the core; before the threads start, too.</summary>
    private void PublishLives()
    {
        PublishMissing();
        _refusedPeers = _core.RefusedPeers.ToDictionary(pair => pair.Key, pair => Describe(pair.Value));
        var outcast = _core switch
        {
            { Old: { } old } => new Outcast(OutcastKind.Old, Describe(old), old.By.Value == 0 ? [] : [old.By]),
            { Conflict: { } conflict } => new Outcast(OutcastKind.Conflict, Describe(conflict), conflict.Peers),
            _ => null,
        };
        var hasEnded = _outcast is { Kind: OutcastKind.Conflict } && outcast is null;
        _outcast = outcast;
        _note = LifeNote.Of(_core.Old, _core.Conflict);
        if (outcast is not null || hasEnded) _ = Task.Run(() => Guard(() => KeepLives(outcast)));
    }

    /// <summary>Off the core: it waits for the disk. A note that a crash prevents is written when the peers say the same again.</summary>
    private void KeepLives(Outcast? outcast)
    {
        lock (_castOut) _note.Save(_options.DataDirectory); // The newest, whoever comes last.
        if (outcast is null)
        {
            _conflictEnded.TrySetResult();
            return;
        }

        NodeLogMessages.CastOut(_logger, Self, outcast.Reason);
        AbandonRequests(isLoopStopped: false);
        _castOut.TrySetResult(outcast);
    }

    private string Describe(OldDirectory old)
    {
        var who = old.Disk is { } disk ? $"disk {disk} knows" : old.By.Value == 0 ? "the replicated state knows" : $"node {NameOf(old.By)} knows";
        var what = old.IsOtherLife
            ? $"{who} a start of this node, in incarnation {old.Known.Incarnation}, that the directory does not remember"
            : $"{who} that this node had bound itself up to {old.Known.Promised}; the directory ended at {old.Own.Recovered}";
        return $"{Path.GetFullPath(_options.DataDirectory)} is an older copy of this node's data directory: {what}";
    }

    private static string Describe(in KnownLife known) =>
        $"its data directory is an older copy: in incarnation {known.Incarnation} it had bound itself up to {known.Promised}";

    private string Describe(HistoryConflict conflict) =>
        $"entry {conflict.Own.Index} is committed here in term {conflict.Own.Term}, and another one on node {string.Join(", ", conflict.Peers.Select(NameOf))}: "
        + "a majority went on from older copies, and both histories were acknowledged to clients";

    private string NameOf(NodeId peer)
    {
        var slot = _core.Configuration.SlotOf(peer);
        return slot >= 0 && _core.Configuration.Details[slot].Name is { Length: > 0 } name ? name : peer.ToString();
    }

    /// <summary>Gives this node's history up: log, state and snapshots go, and it gets another's. Asks the leader, or the node that is named.
    /// The caller then disposes this object and starts the node again.</summary>
    /// <param name="source">Whose history counts; the leader's if null. Only if it is named may it be a node that does not lead.</param>
    /// <param name="cancellationToken">Gives up; the node stays as it is.</param>
    /// <returns>Null if done, else why not; nothing was changed then.</returns>
    private async Task<string?> GiveUpHistoryAsync(NodeId? source, CancellationToken cancellationToken)
    {
        if ((source ?? _view.Leader) is not { } from) return "no leader is known; name the node whose history counts";
        if (from == Self) return "a node cannot be seeded from itself";
        if (_outcast is { Kind: OutcastKind.Old } && _refusedPeers.ContainsKey(from)) return $"node {from}'s directory is an older copy too";
        SeedPoint point;
        try
        {
            var answer = await _transport.CallAsync(from, SeedMethod, new byte[] { source is null ? (byte)0 : (byte)1 }, cancellationToken);
            if (answer.Length != SeedBytes) return Encoding.UTF8.GetString(answer.Span);
            point = SeedPoint.Decode(answer.Span);
        }
        catch (Exception error) when (error is Transport.NotSentException or PeerUnreachableException or OperationCanceledException)
        {
            return $"node {from} does not answer: {error.Message}";
        }

        var own = await StandAsync(cancellationToken);
        var seeded = new SeedRecord(
            point.Floor.Term, point.Floor.Index, Math.Max(point.Promised.Term, own.Term), Math.Max(point.Promised.Index, own.Index));
        Reseeding.Order(_options.DataDirectory, new ReseedOrder(seeded, seeded.ForgivenTerm, Math.Max(Incarnation, _note.Old?.KnownIncarnation ?? 0)));
        return null;
    }

    /// <summary>How far this node was ever known to be bound: by itself, or by whoever knows better.</summary>
    private async Task<Promised> StandAsync(CancellationToken cancellationToken)
    {
        var answer = new TaskCompletionSource<Promised>(TaskCreationOptions.RunContinuationsAsynchronously);
        Post(new LoopInput.AskStand(answer));
        return await answer.Task.WaitAsync(cancellationToken);
    }

    private Promised Stand()
    {
        var known = _core.Old?.Known.Promised ?? default;
        return new Promised(Math.Max(known.Term, _core.Term), Math.Max(known.Index, _core.Log.LastIndex));
    }

    /// <summary>The one whose history counts says where it stands. A leader makes an entry for it: once that is committed, without the
    /// node that gave up, no one can lead who lacks it.</summary>
    private async ValueTask<ReadOnlyMemory<byte>> AnswerSeedAsync(NodeId from, ReadOnlyMemory<byte> request, CancellationToken cancellationToken)
    {
        if (request.Length != 1) throw new ArgumentException("A request for a seed has one byte.");
        if (_outcast is { Kind: OutcastKind.Old } old) return Encoding.UTF8.GetBytes($"it takes no part itself: {old.Reason}");
        var answer = new TaskCompletionSource<SeedPoint?>(TaskCreationOptions.RunContinuationsAsynchronously);
        Post(new LoopInput.AskSeed(request.Span[0] == 1, answer));
        using var limit = RequestLimit(cancellationToken);
        var point = await answer.Task.WaitAsync(limit.Token);
        return point is { } found ? found.Encode() : Encoding.UTF8.GetBytes("it does not lead, or does not yet: name it with --from if its history counts, whatever others have");
    }

    /// <summary>By whoever has the core.</summary>
    private void BeginSeed(LoopInput.AskSeed input)
    {
        if (_core.AppendMark(out var mark)) _seedMarks.Add((mark, input.Answer));
        else if (input.IsForced) input.Answer.TrySetResult(new SeedPoint(_core.Log.LastId, Stand()));
        else input.Answer.TrySetResult(null);
    }

    /// <summary>By whoever has the core.</summary>
    private void FinishSeeds()
    {
        for (var i = _seedMarks.Count - 1; i >= 0; i--)
        {
            var (mark, answer) = _seedMarks[i];
            if (_core.Role != RaftRole.Leader || _core.Term != mark.Term) answer.TrySetResult(null);
            else if (_core.Commit >= mark.Index) answer.TrySetResult(new SeedPoint(mark, new Promised(mark.Term, mark.Index)));
            else continue;
            _seedMarks.RemoveAt(i);
        }
    }
}
