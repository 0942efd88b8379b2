using RaftMirror.ControlPlane.Events;
using RaftMirror.ControlPlane.Model;

namespace RaftMirror.ControlPlane.Commands;

/// <content>Log time itself.</content>
public sealed partial class Decider
{
    /// <summary>A correction is proposed again until it is seen applied: the later one finds nothing left to do.</summary>
    private ResultData? Correct(CorrectClock c)
    {
        CheckUsage(c.ToMs > 0, "badTime", "Log time is set to a time after 1970.");
        var from = _state.LogTimeMs;
        if (Math.Abs(from - c.ToMs) < LogTime.CorrectFromMs) return null;
        _atMs = c.ToMs;
        Emit(new ClockCorrected(from, c.ToMs, c.Clocks));
        return null;
    }
}
