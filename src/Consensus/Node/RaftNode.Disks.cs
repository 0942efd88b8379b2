using RaftMirror.Consensus.Core;
using RaftMirror.Consensus.Model;

namespace RaftMirror.Consensus.Node;

/// <summary>What a disk said: the bytes that <see cref="RaftNode.TestimonyForDisks"/> once gave to be written there.</summary>
/// <param name="Disk">Which, for people.</param>
/// <param name="Testimony">Not trusted; may be empty.</param>
public sealed record DiskWord(string Disk, ReadOnlyMemory<byte> Testimony);

/// <summary>The disks as witnesses of directories that were put back (design §14.24, docs/adr/0023).</summary>
public sealed partial class RaftNode
{
    private volatile KnownLife[]? _livesForDisks;
    private volatile string? _missingByDisks;
    private volatile string? _startWait;

    /// <summary>What is to be written to the disks with each stamp, at most <see cref="Testimony.MaxBytes"/>; empty if this node has nothing to
    /// testify to. Waits for nobody: lives are as of the last heartbeat, the entry is the last one applied. Any thread.</summary>
    public ReadOnlyMemory<byte> TestimonyForDisks()
    {
        if (_livesForDisks is not { } lives || _outcast is not null) return default;
        EntryId applied;
        lock (_waitersGate) applied = new EntryId(_appliedTerm, _applied);
        return new Testimony(ClusterId, Self, applied, lives).Encode();
    }

    /// <summary>A disk says that entries were committed which this node's log lacks, so that nobody without them is elected here; null if not. Any thread.</summary>
    public string? MissingByDisks => _missingByDisks;

    /// <summary>Ends when all that this directory knows to be committed is applied: the state then names the disks to be asked. Any thread.</summary>
    public Task WhenRecovered(CancellationToken cancellationToken) =>
        WaitAppliedAsync(new LogPosition(_recoveredCommit), cancellationToken).AsTask();

    /// <summary>Tells what labels of disks said. What is damaged, or speaks of another cluster, says nothing. Any thread.</summary>
    /// <param name="words">Each disk's.</param>
    /// <param name="areAllAsked">The disks that this node was to ask before it takes part were asked, whether they answered or not.</param>
    /// <returns>The disks whose word is damaged or of another format.</returns>
    public IReadOnlyList<string> DisksSaid(IEnumerable<DiskWord> words, bool areAllAsked)
    {
        ArgumentNullException.ThrowIfNull(words);
        var (said, damaged) = (new List<(string Disk, Testimony Said)>(), new List<string>());
        foreach (var word in words)
        {
            if (Testimony.TryDecode(word.Testimony.Span) is not { } found) damaged.Add(word.Disk);
            else if (found.Cluster == ClusterId) said.Add((word.Disk, found));
        }

        if (said.Count > 0 || areAllAsked) Post(new LoopInput.DisksSaid(said, areAllAsked));
        return damaged;
    }

    /// <summary>What this node waits for before it takes part, for people; null once it does, or if it waits for nothing but a majority. Any thread.</summary>
    public string? StartWait => _startWait;

    /// <summary>By whoever has the core.</summary>
    private void PublishStartWait()
    {
        var (voters, forMs) = _core.Awaited;
        var text = voters.Count == 0 ? null
            : $"this start waits for {string.Join(", ", voters.Select(NameOf))}, connected and without an answer to what it knows of this node, for {forMs / 1000} s more at most";
        if (text is not null && _startWait is null) NodeLogMessages.StartWaits(_logger, Self, text);
        _startWait = text;
    }

    /// <summary>By whoever has the core.</summary>
    private void PublishMissing() => _missingByDisks = _core.MissingByDisks is { } missing
        ? $"disk {missing.Disk}, stamped by node {NameOf(missing.Writer)}, knows that entry {missing.Committed.Index} of term {missing.Committed.Term} was committed; "
            + $"{Path.GetFullPath(_options.DataDirectory)} ends at entry {_core.Log.LastIndex} of term {_core.Log.LastId.Term}"
        : null;
}
