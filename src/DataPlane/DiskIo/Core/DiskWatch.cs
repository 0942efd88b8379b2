namespace RaftMirror.DataPlane.DiskIo.Core;

/// <summary>What a node says of a disk when it is asked.</summary>
public enum DiskAnswer
{
    /// <summary>It has no opinion: it does not serve the set, or has not opened the disk.</summary>
    Unknown,

    /// <summary>It has read it, written it and flushed it just now.</summary>
    Fine,

    /// <summary>It got no answer from the disk in time.</summary>
    Hangs,

    /// <summary>The disk answers it with errors.</summary>
    Fails,
}

/// <summary>A disk and its oldest call.</summary>
/// <param name="Disk">Name.</param>
/// <param name="OldestNs">When its oldest call began; <see cref="long.MaxValue"/> if it has none.</param>
internal readonly record struct DiskAge(string Disk, long OldestNs);

/// <summary>Another node that serves the set.</summary>
internal readonly record struct WatchPeer(string Node, ulong Incarnation);

/// <summary>What the committed state says, as far as it matters here.</summary>
/// <param name="Peers">Who can be asked.</param>
/// <param name="Groups">For each volume its readable legs, for each dirty log its disks, each as the disks that it lies on: of one group
/// one is enough to go on.</param>
/// <param name="Lost">Disks that are lost already: nothing more is to be decided about them.</param>
internal sealed record WatchView(
    IReadOnlyList<WatchPeer> Peers, IReadOnlyList<IReadOnlyList<IReadOnlyList<string>>> Groups, IReadOnlyList<string> Lost);

/// <summary>Where a disk stands here.</summary>
internal enum WatchPhase
{
    Fine,

    /// <summary>A call is old; the others are asked.</summary>
    Slow,

    /// <summary>Past the time-out, here and wherever an answer came from: it is to be lost.</summary>
    Hangs,

    /// <summary>As <see cref="Hangs"/>, but whatever lies on it lies elsewhere on disks that are slow as well: none is lost.</summary>
    AllSlow,

    /// <summary>Past the time-out here, and fine on another node.</summary>
    OnlyHere,
}

/// <summary>What the shell must do.</summary>
/// <param name="Kind">What.</param>
/// <param name="Disk">Which disk.</param>
/// <param name="Node">Ask: whom. OnlyHere: on which node it is fine.</param>
/// <param name="Question">Ask: to be named in the answer.</param>
/// <param name="AgeNs">Age of its oldest call.</param>
/// <param name="Slow">Hangs: other disks that are slow now.</param>
internal sealed record WatchEffect(
    WatchEffectKind Kind, string Disk, string? Node = null, ulong Question = 0, long AgeNs = 0, IReadOnlyList<string>? Slow = null);

/// <summary>Kinds of <see cref="WatchEffect"/>.</summary>
internal enum WatchEffectKind
{
    Ask,

    /// <summary>Report the disk as hanging everywhere; repeated until it is lost.</summary>
    Hangs,

    /// <summary>Report that this node's way to the disk hangs; repeated.</summary>
    OnlyHere,

    /// <summary>What was reported as hanging here only does so no longer.</summary>
    Recovered,
}

/// <summary>Times in ns.</summary>
/// <param name="TimeoutNs">Age from which a disk counts as lost (the set's device time-out).</param>
/// <param name="RepeatNs">Time between two questions or reports.</param>
internal readonly record struct WatchTimes(long TimeoutNs, long RepeatNs = 1_000_000_000)
{
    /// <summary>Age from which the others are asked, so that their answers are there when the time is out.</summary>
    public long SuspectNs => TimeoutNs / 2;

    /// <summary>Age from which a disk that hangs here alone is lost all the same: this node's calls may still land on it, and nothing but
    /// leaving it keeps them from landing over what others write (design §14.5).</summary>
    public long GiveUpNs => 3 * TimeoutNs;
}

/// <summary>Decides which disks of a set hang (design §14.20). A call's age is the measure, not errors: a disk that neither answers
/// nor fails would be waited for. Path is not media: the others are asked first. Pure; time and ages are inputs; one owner.
/// <para>A pause of this process makes calls look old that the disk has ended long ago: none is older than the first look after it.</para></summary>
internal sealed class DiskWatch
{
    private const long PauseNs = 1_000_000_000;
    private readonly SortedDictionary<string, Entry> _entries = new(StringComparer.Ordinal);
    private readonly List<WatchEffect> _effects = [];
    private ulong _nextQuestion;
    private long _lastNs = long.MinValue;
    private long _countFromNs = long.MinValue;

    /// <summary>What was decided since it was last cleared.</summary>
    public List<WatchEffect> Effects => _effects;

    /// <summary>Test hook: the disk is lost without asking anybody.</summary>
    public bool AsksNobody { get; init; }

    /// <summary>Where a disk stands, and the age of its oldest call.</summary>
    public (WatchPhase Phase, long AgeNs) Of(string disk) => _entries.TryGetValue(disk, out var entry) ? (entry.Phase, entry.AgeNs) : default;

    /// <summary>Time passed.</summary>
    public void Tick(long nowNs, WatchTimes times, IReadOnlyList<DiskAge> disks, WatchView view)
    {
        if (_lastNs != long.MinValue && nowNs - _lastNs > PauseNs) _countFromNs = nowNs;
        _lastNs = nowNs;
        foreach (var disk in disks) Observe(nowNs, times, disk);
        foreach (var lost in view.Lost)
        {
            // Something stayed on it that had no other place then, and has one now.
            if (!IsOfUse(lost, SlowBut(lost, view), view)) continue;
            if (!_entries.TryGetValue(lost, out var left)) _entries[lost] = left = new Entry();
            Report(nowNs, times, left, new WatchEffect(WatchEffectKind.Hangs, lost, AgeNs: left.AgeNs, Slow: SlowBut(lost, view)));
        }

        foreach (var (disk, entry) in _entries)
        {
            if (entry.Phase == WatchPhase.Fine || view.Lost.Contains(disk)) continue;
            Ask(nowNs, times, disk, entry, view);
            if (entry.AgeNs >= times.TimeoutNs) Judge(nowNs, times, disk, entry, view);
        }
    }

    /// <summary>A node has answered. One that answers what is not asked any more is not heard.</summary>
    public void Answered(long nowNs, string disk, ulong question, string node, DiskAnswer answer)
    {
        if (_entries.TryGetValue(disk, out var entry) && entry.Question == question && question != 0) entry.Answers[node] = (answer, nowNs);
    }

    private void Observe(long nowNs, WatchTimes times, DiskAge disk)
    {
        if (!_entries.TryGetValue(disk.Disk, out var entry)) _entries[disk.Disk] = entry = new Entry();
        entry.AgeNs = disk.OldestNs == long.MaxValue ? 0 : Math.Max(0, nowNs - Math.Max(disk.OldestNs, _countFromNs));
        if (entry.AgeNs < times.SuspectNs)
        {
            if (entry.IsComplainedOf) _effects.Add(new WatchEffect(WatchEffectKind.Recovered, disk.Disk));
            if (entry.Phase != WatchPhase.Fine) entry.Reset();
        }
        else if (entry.Phase == WatchPhase.Fine) entry.Phase = WatchPhase.Slow;
    }

    // Again and again: what was fine at the first question may hang by now.
    private void Ask(long nowNs, WatchTimes times, string disk, Entry entry, WatchView view)
    {
        if (entry.Question == 0) entry.Question = ++_nextQuestion;
        else if (nowNs - entry.AskedNs < times.RepeatNs) return;
        entry.AskedNs = nowNs;
        foreach (var peer in view.Peers) _effects.Add(new WatchEffect(WatchEffectKind.Ask, disk, peer.Node, entry.Question));
    }

    private void Judge(long nowNs, WatchTimes times, string disk, Entry entry, WatchView view)
    {
        var isComplete = true;
        string? fine = null;
        foreach (var peer in view.Peers)
        {
            // An answer counts while it is new: the question is repeated.
            var isThere = entry.Answers.TryGetValue(peer.Node, out var said) && nowNs - said.AtNs <= 3 * times.RepeatNs;
            isComplete &= isThere;
            if (isThere && said.Answer == DiskAnswer.Fine) fine ??= peer.Node;
        }

        if (AsksNobody) (isComplete, fine) = (true, null);
        if (fine is not null && entry.AgeNs < times.GiveUpNs)
        {
            (entry.Phase, entry.IsComplainedOf) = (WatchPhase.OnlyHere, true);
            Report(nowNs, times, entry, new WatchEffect(WatchEffectKind.OnlyHere, disk, fine, AgeNs: entry.AgeNs));
            return;
        }

        // A node that gives no answer in time is waited for no longer: if it is dead it has no say, and the others are not to hang.
        if (!isComplete && entry.AgeNs < times.TimeoutNs + times.RepeatNs) return;
        var slow = SlowBut(disk, view);
        if (!IsOfUse(disk, slow, view))
        {
            entry.Phase = WatchPhase.AllSlow;
            return;
        }

        entry.Phase = WatchPhase.Hangs;
        Report(nowNs, times, entry, new WatchEffect(WatchEffectKind.Hangs, disk, fine, AgeNs: entry.AgeNs, Slow: slow));
    }

    private List<string> SlowBut(string disk, WatchView view)
    {
        var slow = new List<string>();
        foreach (var (name, other) in _entries)
        {
            if (name != disk && other.Phase != WatchPhase.Fine && !view.Lost.Contains(name)) slow.Add(name);
        }

        return slow;
    }

    private void Report(long nowNs, WatchTimes times, Entry entry, WatchEffect effect)
    {
        if (entry.ReportedNs != long.MinValue && nowNs - entry.ReportedNs < times.RepeatNs) return;
        entry.ReportedNs = nowNs;
        _effects.Add(effect);
    }

    /// <summary>True if something can go on without the disk: it has another place, on disks that are not slow.</summary>
    private static bool IsOfUse(string disk, List<string> slow, WatchView view)
    {
        foreach (var group in view.Groups)
        {
            var (isOn, hasOther) = (false, false);
            foreach (var place in group)
            {
                if (place.Contains(disk)) isOn = true;
                else hasOther |= !Overlaps(place, slow) && !Overlaps(place, view.Lost);
            }

            if (isOn && hasOther) return true;
        }

        return false;
    }

    private static bool Overlaps(IReadOnlyList<string> a, IReadOnlyList<string> b)
    {
        foreach (var name in a)
        {
            if (b.Contains(name)) return true;
        }

        return false;
    }

    private sealed class Entry
    {
        public WatchPhase Phase { get; set; }

        public long AgeNs { get; set; }

        /// <summary>It was reported as hanging here only, which is to be taken back.</summary>
        public bool IsComplainedOf { get; set; }

        public ulong Question { get; set; }

        public long AskedNs { get; set; }

        public long ReportedNs { get; set; } = long.MinValue;

        public SortedDictionary<string, (DiskAnswer Answer, long AtNs)> Answers { get; } = new(StringComparer.Ordinal);

        public void Reset()
        {
            (Phase, Question, ReportedNs, IsComplainedOf) = (WatchPhase.Fine, 0, long.MinValue, false);
            Answers.Clear();
        }
    }
}
