using RaftMirror.Contracts;
using RaftMirror.ControlPlane.Model;

namespace RaftMirror.Node.Status;

/// <summary>Clocks that keep a set from being okay.</summary>
internal static class ClockCauses
{
    /// <summary>Why a set is not okay, as far as clocks go.</summary>
    public static IEnumerable<HealthCause> Of(LiveFigures live, SetState set)
    {
        foreach (var name in set.Members.Keys)
        {
            if (live.Nodes.GetValueOrDefault(name) is { ClockWrong: true, ClockAheadMs: { } ahead })
                yield return new HealthCause("RM1501 CLOCK_WRONG", $"{set.Name}:{name}", ClockTexts.Wrong(name, ahead), ClockTexts.Help(name));
        }

        if (live.ClocksApart)
        {
            yield return new HealthCause(
                "RM1502 CLOCKS_APART", set.Name, ClockTexts.Apart(live.Nodes.Select(pair => (pair.Key, pair.Value.ClockAheadMs))), ClockTexts.ApartHelp);
        }
    }
}
