using RaftMirror.Consensus.Model;

namespace RaftMirror.Consensus.Node;

/// <summary>An entry of the log, for people.</summary>
/// <param name="Index">Its place.</param>
/// <param name="Term">The term in which it was appended.</param>
/// <param name="Kind">command, configuration, digest or noop.</param>
/// <param name="Proposer">Number of the node that proposed it; null for the leader's own.</param>
/// <param name="Bytes">Of the payload.</param>
/// <param name="Payload">The command's bytes, or a configuration as text in UTF-8; empty for others.</param>
public sealed record LogEntryView(ulong Index, ulong Term, string Kind, ushort? Proposer, int Bytes, ReadOnlyMemory<byte> Payload);

/// <summary>A part of one node's log.</summary>
/// <param name="First">Lowest index that this node still has in its log; entries below are covered by a snapshot.</param>
/// <param name="Last">Highest.</param>
/// <param name="Committed">Highest committed index known here.</param>
/// <param name="Entries">In order.</param>
public sealed record LogView(ulong First, ulong Last, ulong Committed, IReadOnlyList<LogEntryView> Entries);

/// <summary>What those who run a cluster want to know of one node.</summary>
public sealed partial class RaftNode
{
    private const int MaxLogViewEntries = 10_000;
    private const int MaxLogViewBytes = 16 * 1024 * 1024;
    private readonly TaskCompletionSource<string> _removed = new(TaskCreationOptions.RunContinuationsAsynchronously);

    /// <summary>Completes when another member says that this node has left the cluster: its number is never given again. Never faults.</summary>
    public Task<string> Removed => _removed.Task;

    /// <summary>The cluster's name, as given at its first start.</summary>
    public string ClusterName => _identity.Record.ClusterName;

    /// <summary>A change of membership is not committed yet, or two majorities count. Any thread.</summary>
    public bool IsChangingMembers => _view.IsChanging;

    /// <summary>Members that shall lead only while nobody else can, as far as this node has a say: it does not campaign or hands over if it is one
    /// of them, and hands leadership to none of them by itself. Replaces those named before. Any thread.</summary>
    public void AvoidLeaders(IReadOnlyCollection<NodeId> members) => Post(new LoopInput.Avoid(members));

    /// <summary>Indices and terms of the snapshots on this node's disk, oldest first. Any thread.</summary>
    public IReadOnlyList<(ulong Index, ulong Term)> Snapshots => [.. _snapshots.List().Select(last => (last.Index, last.Term))];

    /// <summary>A part of this node's own log, committed or not.</summary>
    /// <param name="from">First index wanted; 0 for the last <paramref name="count"/>.</param>
    /// <param name="count">Most entries, 1 to 10000; fewer if they are large.</param>
    /// <param name="cancellationToken">Gives up.</param>
    public async ValueTask<LogView> ReadLogAsync(ulong from, int count, CancellationToken cancellationToken)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(count, 1);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(count, MaxLogViewEntries);
        var answer = new TaskCompletionSource<LogView>(TaskCreationOptions.RunContinuationsAsynchronously);
        Post(new LoopInput.ReadLog(from, count, answer));
        using var both = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken, _stopping.Token);
        return await answer.Task.WaitAsync(both.Token);
    }

    /// <summary>Loop thread.</summary>
    private void ViewLog(LoopInput.ReadLog input)
    {
        var log = _core.Log;
        var from = input.From != 0 ? input.From : log.LastIndex + 1 - Math.Min(log.LastIndex, (ulong)input.Count);
        var entries = new List<LogEntryView>();
        var bytes = 0;
        for (var index = Math.Max(from, log.FirstIndex); index <= log.LastIndex && entries.Count < input.Count; index++)
        {
            var entry = log[index];
            if (entries.Count > 0 && bytes + entry.SizeBytes > MaxLogViewBytes) break;
            bytes += entry.SizeBytes;
            entries.Add(ViewOf(entry));
        }

        input.Answer.TrySetResult(new LogView(log.FirstIndex, log.LastIndex, _core.Commit, entries));
    }

    internal static LogEntryView ViewOf(in LogEntry entry)
    {
        var payload = entry.Type switch
        {
            EntryType.Command => entry.Payload.ToArray(),
            EntryType.Configuration when ConfigurationCodec.TryDecode(entry.Payload.Span, out var configuration) is null =>
                System.Text.Encoding.UTF8.GetBytes(configuration!.ToString()),
            _ => [],
        };
        return new LogEntryView(
            entry.Index, entry.Term, entry.Type.ToString().ToLowerInvariant(), entry.Proposal.Node == 0 ? null : entry.Proposal.Node,
            entry.Payload.Length, payload);
    }

    private void OnRemoved(NodeId by, string text) =>
        _removed.TrySetResult($"node {by} says that this node has left the cluster ({text})");
}
