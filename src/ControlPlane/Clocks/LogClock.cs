using RaftMirror.ControlPlane.Commands;
using RaftMirror.ControlPlane.Model;

namespace RaftMirror.ControlPlane.Clocks;

/// <summary>The leader's clock, by which it stamps commands: an offset and CLOCK_BOOTTIME (design §14.23). Pure: times are inputs, ms. One thread
/// owns it.
///
/// A leader takes the offset from a majority of the voters at the start of its term, never from its own wall clock alone. From then on a jump
/// of any wall clock has no effect: the offset follows the voters' clocks by <see cref="SlewPermille"/> at most, which makes good drift. Where
/// log time is far from what a majority agrees on, because an earlier leader's clock was wrong, a correction is proposed; until it is applied
/// nobody else's command is taken (<see cref="IsReady"/>).</summary>
/// <param name="convincedAfterMs">How long a majority whose clocks jumped together must agree until it is believed.</param>
public sealed class LogClock(long convincedAfterMs = LogClock.ConvincedAfterMs)
{
    /// <summary>By so much the clock runs faster or slower than boot time, to come to the voters' clocks.</summary>
    public const long SlewPermille = 5;

    /// <summary>A new leader that reaches no majority's clocks goes on from the newest log time after so long.</summary>
    public const long GiveUpAfterMs = 2000;

    /// <summary>So long by default.</summary>
    public const long ConvincedAfterMs = 60_000;

    private ulong? _term;
    private long _leaderSinceMs;
    private bool _isSet;
    private long _atMs; // Boot time at which the clock showed _logUs.
    private long _logUs; // µs: at a few readings a second, a slew of whole ms would stand still.
    private long? _targetOffsetMs;
    private long? _farSinceMs; // Since when a majority has agreed on another time than this clock's.

    /// <summary>This node leads from now on, in this term.</summary>
    public void LeadershipGained(long bootMs, ulong term)
    {
        if (_term == term) return;
        LeadershipLost();
        _term = term;
        _leaderSinceMs = bootMs;
    }

    /// <summary>This node leads no more.</summary>
    public void LeadershipLost()
    {
        _term = null;
        _isSet = false;
        _targetOffsetMs = null;
        _farSinceMs = null;
    }

    /// <summary>The time to stamp a command with; null while the voters' clocks are not known: then apply gives it the next log time.</summary>
    public long? NowMs(long bootMs) => _isSet ? ValueUs(bootMs) / 1000 : null;

    /// <summary>False while clients' and nodes' commands must wait: the time is not known yet, or log time is about to be corrected.</summary>
    /// <param name="bootMs">Boot time.</param>
    /// <param name="logTimeMs">Of the newest applied state.</param>
    public bool IsReady(long bootMs, long logTimeMs) => NowMs(bootMs) is { } now && logTimeMs - now < LogTime.CorrectFromMs;

    /// <summary>Takes in what the voters' clocks say.</summary>
    /// <param name="bootMs">Boot time.</param>
    /// <param name="verdict">Of the clocks.</param>
    /// <param name="logTimeMs">Of the newest applied state.</param>
    /// <returns>A correction to propose in exactly this term, or null. It is asked for again until it is applied.</returns>
    public CorrectClock? Follow(long bootMs, ClockVerdict verdict, long logTimeMs)
    {
        if (_term is null) return null;
        if (!_isSet && !Start(bootMs, verdict, logTimeMs)) return null;
        SetTo(bootMs, ValueUs(bootMs));
        var agreed = bootMs + verdict.AgreedOffsetMs;
        if (agreed is { } right && IsFar(bootMs, right)) return Convinced(bootMs, right) ? Correct(right, verdict) : null;
        _farSinceMs = null;
        _targetOffsetMs = verdict.AgreedOffsetMs ?? _targetOffsetMs;
        if (IsFar(bootMs, logTimeMs)) return agreed is { } now && logTimeMs > now ? Correct(now, verdict) : null;
        if (logTimeMs * 1000 > _logUs) SetTo(bootMs, logTimeMs * 1000); // Stamps of the leader before; made good by running slower.
        return null;
    }

    /// <summary>The first time of the term. Until a majority agrees, all voters are waited for, but not for long.</summary>
    private bool Start(long bootMs, ClockVerdict verdict, long logTimeMs)
    {
        var isLate = bootMs - _leaderSinceMs >= GiveUpAfterMs;
        if (verdict.AgreedOffsetMs is { } agreed)
        {
            // Log time is behind after every quiet hour. If it is ahead, it is wrong: then Follow corrects it.
            var isWrong = logTimeMs - (bootMs + agreed) >= LogTime.CorrectFromMs;
            SetTo(bootMs, 1000 * (isWrong ? bootMs + agreed : Math.Max(bootMs + agreed, logTimeMs)));
        }
        else if (verdict.HaveAllAnswered || isLate)
        {
            SetTo(bootMs, 1000 * Math.Max(bootMs + verdict.MedianOffsetMs ?? 0, logTimeMs));
        }

        _isSet = verdict.AgreedOffsetMs is not null || verdict.HaveAllAnswered || isLate;
        return _isSet;
    }

    /// <summary>Within a term a majority that agrees on another time is believed only if it stays with it.</summary>
    private bool Convinced(long bootMs, long rightMs)
    {
        _farSinceMs ??= bootMs;
        if (bootMs - _farSinceMs < convincedAfterMs) return false;
        _farSinceMs = null;
        _targetOffsetMs = null;
        SetTo(bootMs, rightMs * 1000);
        return true;
    }

    private static CorrectClock Correct(long toMs, ClockVerdict verdict) => new(toMs, verdict.Ahead);

    private bool IsFar(long bootMs, long timeMs) => Math.Abs(timeMs - (ValueUs(bootMs) / 1000)) >= LogTime.CorrectFromMs;

    private void SetTo(long bootMs, long logUs) => (_atMs, _logUs) = (bootMs, logUs);

    /// <summary>What the clock shows: boot time, and of the way to the target as much as may be.</summary>
    private long ValueUs(long bootMs)
    {
        var elapsedMs = bootMs - _atMs;
        var plain = _logUs + (elapsedMs * 1000);
        if (_targetOffsetMs is not { } target) return plain;
        var most = elapsedMs * SlewPermille; // µs
        return plain + Math.Clamp(((bootMs + target) * 1000) - plain, -most, most);
    }
}
