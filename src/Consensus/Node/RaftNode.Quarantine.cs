using System.Text.Json;
using System.Text.Json.Serialization;
using RaftMirror.Consensus.Model;

namespace RaftMirror.Consensus.Node;

/// <summary>Why a node's state is not to be trusted.</summary>
/// <param name="Index">The checkpoint at which it differed.</param>
/// <param name="Own">Digest of this node's state there, hexadecimal.</param>
/// <param name="Majority">What a majority found, hexadecimal; null if no majority agreed on anything.</param>
/// <param name="AtUnixMs">When this node learned of it, by its own clock.</param>
public sealed record QuarantineNote(ulong Index, string Own, string? Majority, long AtUnixMs)
{
    /// <summary>For people.</summary>
    public override string ToString() => Majority is null
        ? $"the nodes' states differ at index {Index} and no majority agrees; this node found {Own}"
        : $"this node's state at index {Index} is {Own}, a majority's is {Majority}";
}

[JsonSourceGenerationOptions(WriteIndented = true, PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase)]
[JsonSerializable(typeof(QuarantineNote))]
internal sealed partial class QuarantineJson : JsonSerializerContext;

/// <summary>
/// Divergence: when a digest in the log is not this node's, the node stops applying, for good: it keeps its state to be looked at, votes
/// and keeps the log, never leads, and says why. The note survives restarts. Seeding anew replaces state and snapshots by another node's.
/// </summary>
public sealed partial class RaftNode
{
    internal const string QuarantineFile = "quarantine.json";
    private readonly TaskCompletionSource<QuarantineNote> _diverged = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private volatile QuarantineNote? _quarantine;

    /// <summary>Why this node applies nothing; null if all is well. Any thread.</summary>
    public QuarantineNote? Quarantine => _quarantine;

    /// <summary>Completes when this node finds that its state differs from the majority's, at once if it had been found before.</summary>
    public Task<QuarantineNote> Diverged => _diverged.Task;

    private string QuarantinePath => Path.Combine(_options.DataDirectory, QuarantineFile);

    /// <summary>Apply thread: compares a majority's digest with this node's own.</summary>
    private bool HasDiverged(DigestVerdict verdict)
    {
        if (!_ownDigests.TryGetValue(verdict.Index, out var own)) return false; // Restored from a later snapshot: nothing to compare.
        if (verdict.IsAgreed && verdict.Value == own) return false;
        var note = new QuarantineNote(
            verdict.Index, own.ToString("x16"), verdict.IsAgreed ? verdict.Value.ToString("x16") : null,
            DateTimeOffset.UtcNow.ToUnixTimeMilliseconds());
        DurableFile.Write(QuarantinePath, JsonSerializer.SerializeToUtf8Bytes(note, QuarantineJson.Default.QuarantineNote));
        EnterQuarantine(note);
        return true;
    }

    private void EnterQuarantine(QuarantineNote note)
    {
        _quarantine = note;
        NodeLogMessages.Diverged(_logger, Self, note.ToString());
        Post(new LoopInput.Bar());
        AbandonRequests(isLoopStopped: false);
        _diverged.TrySetResult(note);
    }

    /// <summary>At start.</summary>
    internal static QuarantineNote? LoadQuarantine(string dataDirectory)
    {
        var path = Path.Combine(dataDirectory, QuarantineFile);
        if (!File.Exists(path)) return null;
        try
        {
            return JsonSerializer.Deserialize(File.ReadAllBytes(path), QuarantineJson.Default.QuarantineNote)
                ?? throw new JsonException("It is empty.");
        }
        catch (JsonException damage)
        {
            throw new InvalidOperationException($"{path} is damaged: {damage.Message}", damage);
        }
    }

    /// <summary>Replaces this node's state by another's. After divergence: fetches that node's newest snapshot, removes the own ones, ends the quarantine.
    /// A node that takes no part (<see cref="Outcast"/>) gives its log up too. The caller then disposes this object and starts the node again, which restores from it and applies the log behind it.</summary>
    /// <param name="source">Whose; the leader if null.</param>
    /// <param name="cancellationToken">Gives up; the node stays as it is.</param>
    /// <returns>Null if done, else why not; nothing was changed then.</returns>
    public async Task<string?> ReseedAsync(NodeId? source, CancellationToken cancellationToken)
    {
        if (_outcast is not null) return await GiveUpHistoryAsync(source, cancellationToken);
        if (_quarantine is null) return "this node is not quarantined: its state is the majority's";
        if ((source ?? _view.Leader) is not { } from) return "no leader is known; name the node to take the state from";
        if (from == Self) return "a node cannot be seeded from itself";
        SnapshotMeta? meta;
        try
        {
            meta = await FetchNewestAsync(from, cancellationToken);
        }
        catch (Exception error) when (error is IOException or InvalidDataException or PeerUnreachableException or OperationCanceledException)
        {
            return $"node {from}'s snapshot could not be fetched: {error.Message}";
        }

        if (meta is null) return $"node {from} has no snapshot to give";
        if (meta.Last.Index < _recoveredBase.Index)
            return $"node {from}'s newest snapshot ends at {meta.Last.Index}, this node's log begins behind {_recoveredBase.Index}: wait for the next snapshot";
        return await WithStoreAsync(
            () =>
            {
                foreach (var last in _snapshots.List())
                {
                    if (last != meta.Last) _snapshots.Delete(last);
                }

                DurableFile.Delete(QuarantinePath);
                return null;
            },
            cancellationToken);
    }
}
