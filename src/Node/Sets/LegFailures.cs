using System.Collections.Concurrent;
using Microsoft.Extensions.Logging;
using RaftMirror.Contracts;
using RaftMirror.ControlPlane.Commands;
using RaftMirror.ControlPlane.Model;
using RaftMirror.DataPlane.DiskIo.Core;
using RaftMirror.DataPlane.Mirroring.Shell;
using RaftMirror.Node.Disks;
using RaftMirror.Node.Peers;
using RaftMirror.Node.State;
using RaftMirror.Primitives;
using DiskStatus = RaftMirror.ControlPlane.Model.DiskStatus;

namespace RaftMirror.Node.Sets;

/// <summary>A call on a disk of a set failed on this node: before the disk is blamed, all live nodes are asked (design §14.20). Where only this
/// node's way is bad, the node says that it cannot use the disk, until it can again. Any thread.</summary>
internal sealed partial class LegFailures(
    string set,
    NodeIdentity self,
    StateFeed feed,
    PeerClient peers,
    Func<DataPlaneSet?> dataPlane,
    LostDiskTrial lostDisks,
    Func<CommandBody, string?, CancellationToken, Task<ApiResult>> submit,
    ILogger logger,
    CancellationToken stopping,
    TimeProvider? clock = null)
{
    private readonly OwnComplaints _complaints = new(set, self, feed, submit, stopping);
    private static readonly TimeSpan LookEvery = TimeSpan.FromSeconds(1);
    private static readonly TimeSpan Quiet = TimeSpan.FromSeconds(30); // Reports are repeated every few seconds at the most.
    private readonly TimeProvider _clock = clock ?? TimeProvider.System;
    private readonly ConcurrentDictionary<string, long> _waitingSince = new(StringComparer.Ordinal); // Time stamps of the clock.
    private readonly ConcurrentDictionary<string, bool> _looking = new(StringComparer.Ordinal);
    private readonly ConcurrentDictionary<string, ByteRange> _places = new(StringComparer.Ordinal); // Where each disk failed last.
    private readonly ConcurrentDictionary<string, long> _judged = new(StringComparer.Ordinal);
    private readonly LogOnce _once = new();

    /// <summary>Asks, and complains if only this node cannot use the disk. Bounded: nobody is waited for beyond two seconds.</summary>
    /// <param name="disk">Disk.</param>
    /// <param name="place">Where it failed; empty if that is no place.</param>
    /// <param name="isWrite">A write or flush failed.</param>
    /// <param name="what">The failure, for people.</param>
    public async Task<LegJudgement> JudgeAsync(string disk, ByteRange place, bool isWrite, string what)
    {
        var state = feed.Current;
        if (state.Set(set) is not { } known) return new LegJudgement(FailureVerdict.Wait, what, IsOutOfReach: false);
        ForgetWhatIsOver(disk);
        var wasLost = IsLost(disk); // It may come back while the others are asked.
        var own = dataPlane()?.ProbeDiskAsync(disk, place) ?? Task.FromResult(DiskAnswer.Unknown);
        var asked = new SortedDictionary<string, Task<DiskAnswer>>(StringComparer.Ordinal);
        foreach (var member in known.Members.Values)
        {
            if (member.Node == self.Name || state.Node(member.Node) is not { } node || !Duties.IsJoined(node, member)) continue;
            asked[member.Node] = DiskReports.AskAsync(peers, member.Node, new ProbeDiskRequest(set, disk, place.Start, place.Length), stopping);
        }

        await Task.WhenAll(asked.Values.Append(own));
        var answers = asked.ToDictionary(static one => one.Key, static one => one.Value.Result);
        var verdict = FailureJudge.Judge(isWrite, own.Result, answers.Values, HasWaited(disk, known));
        var evidence = Describe(own.Result, answers);
        Say(disk, what, verdict, evidence);
        if (verdict != FailureVerdict.Wait) _waitingSince.TryRemove(disk, out _);
        // Of a call that was given up with a lost disk nothing follows for this node's way to it: whoever has it open still may well reach it.
        if (verdict == FailureVerdict.Path && !wasLost && !IsLost(disk)) await ComplainAsync(disk, place, $"{what}; {evidence}");
        return new LegJudgement(verdict, evidence, own.Result != DiskAnswer.Fine && !answers.ContainsValue(DiskAnswer.Fine))
        {
            IsUnconfirmed = answers.Count > 0 && answers.Values.All(static answer => answer == DiskAnswer.Unknown),
        };
    }

    /// <summary>The core repeats its report until the verdict is committed. A disk that was quiet for longer has another failure now: how long others
    /// were waited for in the former one counts for nothing, and the verdict is said again.</summary>
    private void ForgetWhatIsOver(string disk)
    {
        var now = _clock.GetTimestamp();
        var last = _judged.GetValueOrDefault(disk, now);
        _judged[disk] = now;
        if (_clock.GetElapsedTime(last, now) <= Quiet) return;
        _waitingSince.TryRemove(disk, out _);
        _once.Over(disk);
    }

    private void Say(string disk, string what, FailureVerdict verdict, string evidence) =>
        _once.Log(disk, $"{verdict} {evidence}", () => LogJudged(logger, set, disk, what, verdict.ToString(), evidence));

    private bool HasWaited(string disk, SetState known) =>
        _clock.GetElapsedTime(_waitingSince.GetOrAdd(disk, _ => _clock.GetTimestamp())).TotalMilliseconds >= known.DeviceTimeoutMs;

    private async Task ComplainAsync(string disk, ByteRange place, string detail)
    {
        if (place.Length > 0) _places[disk] = place;
        await _complaints.AddAsync(new DiskComplaint(disk, DiskLossReason.FailsHere, detail.Length <= 1024 ? detail : detail[..1024]));
        LookAgain(disk);
    }

    /// <summary>Goes on looking whether a disk that this node complains of works. A complaint can stand without a look: one report
    /// of the node's complaints may put back what another has just taken away. So who sees one calls this.</summary>
    public void LookAgain(string disk)
    {
        if (_looking.TryAdd(disk, true))
            _ = Task.Run(() => LookUntilFineAsync(disk), CancellationToken.None);
    }

    /// <summary>The complaint is taken back when this node can use the disk, and read the place where it failed.</summary>
    private async Task LookUntilFineAsync(string disk)
    {
        try
        {
            using var timer = new PeriodicTimer(LookEvery);
            while (await timer.WaitForNextTickAsync(stopping))
            {
                // Gone, or another has taken its place: whoever sees it again has it looked after again.
                if (!_complaints.Has(disk, DiskLossReason.FailsHere)) break;
                if (!await CanUseAsync(disk, _places.GetValueOrDefault(disk))) continue;
                _once.Over(disk);
                if (!await _complaints.RemoveAsync(disk, DiskLossReason.FailsHere)) break;
            }
        }
        catch (OperationCanceledException)
        {
            // The node stops.
        }
        finally
        {
            _looking.TryRemove(disk, out _);
        }
    }

    private bool IsLost(string disk) => feed.Current.Set(set)?.Disks.GetValueOrDefault(disk) is { Status: DiskStatus.Lost };

    /// <summary>Whatever goes wrong with one look, the next may find the disk well: a word that nobody takes back would keep the node from it.</summary>
    private async Task<bool> CanUseAsync(string disk, ByteRange place)
    {
        try
        {
            // A lost disk is closed in the data plane, which would have no opinion for as long as this word keeps the disk lost.
            if (IsLost(disk)) return await lostDisks(disk, place, stopping);
            return dataPlane() is { } plane && await plane.ProbeDiskAsync(disk, place) == DiskAnswer.Fine;
        }
        catch (Exception failure) when (failure is not OperationCanceledException)
        {
            _once.Log($"look {disk}", failure.Message, () => LogLookFailed(logger, failure, set, disk));
            return false;
        }
    }

    private string Describe(DiskAnswer own, Dictionary<string, DiskAnswer> others) => others.Count == 0
        ? $"{self.Name} itself {Word(own)}, and no other node serves the set"
        : $"asked: {string.Join(", ", others.Select(static one => $"{one.Key} {Word(one.Value)}"))}; {self.Name} itself {Word(own)}";

    private static string Word(DiskAnswer answer) => answer switch
    {
        DiskAnswer.Fine => "can use it there",
        DiskAnswer.Hangs => "gets no answer from it",
        DiskAnswer.Fails => "gets errors too",
        _ => "gave no answer",
    };

    [LoggerMessage(3606, LogLevel.Warning, "Set {Set}: whether disk {Disk} answers again could not be found out; it is tried again")]
    private static partial void LogLookFailed(ILogger logger, Exception failure, string set, string disk);

    [LoggerMessage(3605, LogLevel.Warning, "Set {Set}: disk {Disk}: {What}: {Verdict}; {Evidence}")]
    private static partial void LogJudged(ILogger logger, string set, string disk, string what, string verdict, string evidence);
}

/// <summary>Whether this node can use a disk that is lost, apart from the data plane.</summary>
/// <param name="disk">Disk.</param>
/// <param name="place">Bytes of it to be read as well; empty for none.</param>
/// <param name="cancellationToken">Gives up.</param>
internal delegate Task<bool> LostDiskTrial(string disk, ByteRange place, CancellationToken cancellationToken);

/// <summary>What became of a question about a failure.</summary>
/// <param name="Verdict">Whom it speaks against.</param>
/// <param name="Evidence">Who was asked and what they said, for people.</param>
/// <param name="IsOutOfReach">No node that was asked reaches the disk.</param>
internal sealed record LegJudgement(FailureVerdict Verdict, string Evidence, bool IsOutOfReach)
{
    /// <summary>Others were asked, and none could say anything: it may be this node's way that is bad, and not the disk.</summary>
    public bool IsUnconfirmed { get; init; }
}
