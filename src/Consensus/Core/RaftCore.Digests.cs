using RaftMirror.Consensus.Messages;
using RaftMirror.Consensus.Model;

namespace RaftMirror.Consensus.Core;

/// <summary>
/// Divergence detection (reference 6.5). At checkpoints, the same indices everywhere, each node reports a digest of its state. The leader asks
/// for one checkpoint at a time, in heartbeats, until a majority of voters has answered alike, and puts the result into the log. Each node
/// compares when it applies that entry: the leader may be the one that is wrong, so it decides nothing, and nobody's word counts twice.
/// </summary>
internal sealed partial class RaftCore
{
    /// <summary>Digests kept, so that a leader that is a little behind can still ask.</summary>
    private const int MaxDigests = 256;

    private readonly SortedDictionary<ulong, ulong> _digests = [];
    private readonly SortedDictionary<NodeId, ulong> _digestVotes = [];
    private ulong _digestAsked;
    private ulong _digestDone;
    private long _digestAskedMs;

    /// <summary>This node's state has been found to differ, or cannot be trusted for another reason: it votes and keeps the log, and never leads.</summary>
    public bool IsBarred { get; private set; }

    /// <summary>Bars this node from leading; for good, in this process life.</summary>
    public void Bar()
    {
        IsBarred = true;
        if (_role is RaftRole.PreCandidate or RaftRole.Candidate) BecomeFollower(_term, leader: null);
    }

    /// <summary>The state machine reached a checkpoint.</summary>
    /// <param name="index">An applied index; grows.</param>
    /// <param name="value">Digest of the state after it.</param>
    public void ReportDigest(ulong index, ulong value)
    {
        _digests[index] = value;
        while (_digests.Count > MaxDigests) _digests.Remove(_digests.First().Key);
    }

    /// <summary>The digest this node found at a checkpoint, if it still knows.</summary>
    public ulong? DigestAt(ulong index) => _digests.TryGetValue(index, out var value) ? value : null;

    private void ResetDigests()
    {
        _digestVotes.Clear();
        _digestAsked = 0;
        _digestDone = 0;
    }

    /// <summary>Which checkpoint the next heartbeat asks for; 0 for none.</summary>
    private ulong DigestToAsk()
    {
        if (_digestAsked != 0 && _now - _digestAskedMs <= _options.ElectionTimeoutMaxMs) return _digestAsked;

        // The next one; if some do not answer, the newest that all have had time for.
        _digestAsked = 0;
        _digestVotes.Clear();
        if (_digests.Count == 0 || _digests.Last().Key <= _digestDone) return 0;
        _digestAsked = _digests.Last().Key;
        _digestAskedMs = _now;
        _digestVotes[Self] = _digests[_digestAsked];
        return _digestAsked;
    }

    private void HearDigest(in Message message)
    {
        if (_digestAsked == 0 || message.Hint.Index != _digestAsked || !HasCommittedOwnTerm || _transferTarget is not null) return;
        _digestVotes[message.From] = message.Hint.Term;
        var voters = _configuration.Voters;
        var answered = 0;
        var best = 0;
        ulong value = 0;
        foreach (var voter in voters)
        {
            if (!_digestVotes.TryGetValue(voter, out var mine)) continue;
            answered++;
            var alike = 0;
            foreach (var other in voters)
            {
                if (_digestVotes.TryGetValue(other, out var theirs) && theirs == mine) alike++;
            }

            if (alike <= best) continue;
            best = alike;
            value = mine;
        }

        var isAgreed = best > voters.Length / 2;
        if (!isAgreed && best + voters.Length - answered > voters.Length / 2) return; // It may still come.

        // Who has not answered yet may be the one that differs: a little time for it, as silence is not agreement.
        if (answered < voters.Length && _now - _digestAskedMs <= _options.ElectionTimeoutMinMs) return;
        _digestDone = _digestAsked;
        var verdict = new DigestVerdict(_digestAsked, isAgreed ? value : 0, isAgreed);
        _digestAsked = 0;
        AppendToLog(new LogEntry(new EntryId(_term, _log.LastIndex + 1), EntryType.Digest, default, verdict.Encode()));
    }
}
