using Microsoft.Extensions.Logging;
using RaftMirror.Consensus;
using RaftMirror.Consensus.Model;
using RaftMirror.ControlPlane.Clocks;
using RaftMirror.ControlPlane.Commands;
using RaftMirror.ControlPlane.Leases;
using RaftMirror.ControlPlane.Model;
using RaftMirror.Node.Peers;
using RaftMirror.Node.State;
using RaftMirror.Primitives;

namespace RaftMirror.Node.Clocks;

/// <summary>Compares the nodes' wall clocks and keeps the leader's clock, by which commands are stamped. The decisions are
/// <see cref="ClockWatch"/>'s and <see cref="LogClock"/>'s; this shell brings readings and time. Any thread.</summary>
/// <remarks>Every voter asks the voters once a second, so that each knows for itself whether its clock is wrong when the next leader is
/// chosen; the leader asks all members, for status.</remarks>
internal sealed partial class ClockService(
    NodeIdentity self,
    IReplicatedLog log,
    StateFeed feed,
    PeerClient peers,
    NodeDirectory directory,
    Action<IReadOnlyCollection<NodeId>> avoidLeaders,
    Func<LeaseProposal, CancellationToken, Task<CommandResult?>> proposeAsLeader,
    ILogger logger)
{
    private static readonly TimeSpan Every = TimeSpan.FromSeconds(1);
    private static readonly TimeSpan AnswerLimit = TimeSpan.FromMilliseconds(2 * ClockWatch.MaxUncertaintyMs);

    private readonly Lock _gate = new();
    private readonly ClockWatch _watch = new();
    private readonly LogClock _clock = new();
    private TaskCompletionSource _wake = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private volatile ClockVerdict _verdict = ClockVerdict.None;
    private ulong _leadingTerm; // 0: not leading. Under _gate, like the cores.
    private bool _isCorrecting; // Under _gate.

    /// <summary>What the voters' clocks say, as this node reads them.</summary>
    public ClockVerdict Verdict => _verdict;

    /// <summary>The stamp for a command of this leader. 0 while the time is not known: apply gives it the next log time then.</summary>
    public long StampMs
    {
        get
        {
            lock (_gate) return _clock.NowMs(BootMs()) ?? 0;
        }
    }

    /// <summary>True if this node leads and knows what time it is: else commands wait, which takes moments at the start of a term.</summary>
    public bool IsReady
    {
        get
        {
            lock (_gate) return _clock.IsReady(BootMs(), feed.Current.LogTimeMs);
        }
    }

    /// <summary>Sets the handler of what other nodes ask.</summary>
    public void Register() => peers.Handle(PeerMethods.ReadClock, DaemonJson.Default.String, DaemonJson.Default.ClockReply,
        (_, _, _) => ValueTask.FromResult(new ClockReply(UnixMs(), RequestTimeHere())));

    /// <summary>Runs until cancelled.</summary>
    public async Task RunAsync(CancellationToken cancellationToken)
    {
        log.StatusChanged += FollowLeadership;
        try
        {
            FollowLeadership(log.Status);
            while (true)
            {
                Interlocked.Exchange(ref _wake, new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously));
                ReadOwn();
                var asked = Asked().Select(node => ReadAsync(node, cancellationToken)).ToList();
                await Task.WhenAny(_wake.Task, Task.Delay(Every, cancellationToken));
                cancellationToken.ThrowIfCancellationRequested();
                await Task.WhenAll(asked.Where(static reading => reading.IsFaulted)); // Only what is broken: who is slow is waited for by nobody.
            }
        }
        finally
        {
            log.StatusChanged -= FollowLeadership;
        }
    }

    /// <summary>A time for a request id that is made now: what the leader's clock shows, and never one that would be refused as too old.</summary>
    /// <exception cref="NoLeaderException">No leader tells it.</exception>
    public async ValueTask<long> RequestTimeAsync(CancellationToken cancellationToken)
    {
        var leader = log.Status.Leader is { } id ? directory.NameOf(id) : null;
        var time = leader is null ? null : leader == self.Name ? RequestTimeHere() : (await AskAsync(leader, cancellationToken))?.RequestTimeMs;
        return time ?? throw new NoLeaderException("no leader tells the cluster's time");
    }

    private static long BootMs() => Linux.BootTimeNanoseconds() / 1_000_000;

    private static long UnixMs() => DateTimeOffset.UtcNow.ToUnixTimeMilliseconds();

    private long? RequestTimeHere()
    {
        lock (_gate)
        {
            var (now, state) = (BootMs(), feed.Current);
            return _clock.IsReady(now, state.LogTimeMs) ? Math.Max(_clock.NowMs(now) ?? 0, state.Requests.RefusedBeforeMs) : null;
        }
    }

    private void FollowLeadership(LogStatus status)
    {
        lock (_gate)
        {
            var leads = status.IsLeader ? status.Epoch : 0;
            if (leads == _leadingTerm) return;
            if (_leadingTerm != 0) _clock.LeadershipLost();
            if (leads != 0) _clock.LeadershipGained(BootMs(), leads);
            _leadingTerm = leads;
            if (leads != 0) Volatile.Read(ref _wake).TrySetResult(); // Ask at once: commands wait for the answers.
        }
    }

    private List<string> Asked()
    {
        var status = log.Status;
        var isVoter = status.Members.Any(member => member.Id == status.Self && member.IsVoter);
        var voters = status.Members.Where(static member => member.IsVoter).Select(member => directory.NameOf(member.Id)).OfType<string>().ToList();
        lock (_gate) _watch.SetVoters(voters);
        var all = status.IsLeader ? directory.Names : isVoter ? voters : (IEnumerable<string>)[];
        return [.. all.Where(name => name != self.Name)];
    }

    private void ReadOwn()
    {
        var before = BootMs();
        var unix = UnixMs();
        Take(self.Name, before, BootMs(), unix);
    }

    private async Task ReadAsync(string node, CancellationToken cancellationToken)
    {
        var before = BootMs();
        if (await AskAsync(node, cancellationToken) is { } reply) Take(node, before, BootMs(), reply.UnixMs);
    }

    private async Task<ClockReply?> AskAsync(string node, CancellationToken cancellationToken)
    {
        try
        {
            return await peers.CallAsync(
                node, PeerMethods.ReadClock, "", DaemonJson.Default.String, DaemonJson.Default.ClockReply, AnswerLimit, cancellationToken);
        }
        catch (PeerUnreachableException)
        {
            return null; // It is no part of a majority for now.
        }
        catch (OperationCanceledException)
        {
            return null;
        }
    }

    private void Take(string node, long beforeMs, long afterMs, long unixMs)
    {
        CorrectClock? correction;
        ulong term;
        ClockVerdict former, verdict;
        lock (_gate)
        {
            var now = BootMs();
            _watch.Read(node, beforeMs, afterMs, unixMs);
            (former, verdict, term) = (_verdict, _watch.Judge(now), _leadingTerm);
            _verdict = verdict;
            correction = term == 0 ? null : _clock.Follow(now, verdict, feed.Current.LogTimeMs);
            if (_isCorrecting) correction = null;
            else _isCorrecting = correction is not null;
            if (!former.Off.SetEquals(verdict.Off)) avoidLeaders([.. verdict.Off.Select(directory.IdOf).OfType<NodeId>()]);
        }

        Report(former, verdict);
        if (correction is not null) _ = CorrectAsync(term, correction);
    }

    private async Task CorrectAsync(ulong term, CorrectClock correction)
    {
        var from = feed.Current.LogTimeMs;
        var result = await proposeAsLeader(new LeaseProposal(term, correction), CancellationToken.None);
        LogCorrected(logger, from, correction.ToMs, result?.Code ?? "not committed");
        lock (_gate) _isCorrecting = false; // If it is not in the state yet, the next reading asks again.
    }

    private void Report(ClockVerdict former, ClockVerdict verdict)
    {
        foreach (var node in verdict.Off.Except(former.Off)) LogOff(logger, node, verdict.Ahead[node]);
        foreach (var node in former.Off.Except(verdict.Off)) LogRight(logger, node);
        if (verdict.AreApart && !former.AreApart)
            LogApart(logger, string.Join(", ", verdict.Ahead.Select(static pair => $"{pair.Key} {pair.Value} ms")));
    }

    [LoggerMessage(3531, LogLevel.Warning, "The clock of {Node} is {AheadMs} ms ahead of a majority of the voters' (negative: behind): it shall not lead; set it right")]
    private static partial void LogOff(ILogger logger, string node, long aheadMs);

    [LoggerMessage(3532, LogLevel.Information, "The clock of {Node} is no more known to be wrong")]
    private static partial void LogRight(ILogger logger, string node);

    [LoggerMessage(3533, LogLevel.Warning, "The voters' clocks differ and no majority agrees, so nobody can tell which is right: {Clocks}")]
    private static partial void LogApart(ILogger logger, string clocks);

    [LoggerMessage(3534, LogLevel.Warning, "Log time {FromMs} is far from the voters' clocks; correction to {ToMs}: {Result}")]
    private static partial void LogCorrected(ILogger logger, long fromMs, long toMs, string result);
}
