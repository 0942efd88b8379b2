using System.Collections.Immutable;

namespace RaftMirror.ControlPlane.Clocks;

/// <summary>What the voters' clocks say together, seen from one node. Offsets are wall clock minus the reader's CLOCK_BOOTTIME, ms.</summary>
/// <param name="Voters">Number of voters.</param>
/// <param name="HaveAllAnswered">Every voter's clock was read lately.</param>
/// <param name="AgreedOffsetMs">Median of a majority of the voters whose clocks agree; null if there is none.</param>
/// <param name="MedianOffsetMs">Lower median of all voters that answered, if they are a majority: the best there is where none agrees; else null.</param>
/// <param name="Ahead">Node → how far its clock is ahead (negative: behind) of the agreed time, else of the median, ms. Those that answered lately.</param>
/// <param name="Off">Of these, whose clock is wrong: far from a majority of three voters or more.</param>
/// <param name="AreApart">Clocks of voters are far apart, and nobody can tell which is wrong.</param>
public sealed record ClockVerdict(
    int Voters,
    bool HaveAllAnswered,
    long? AgreedOffsetMs,
    long? MedianOffsetMs,
    ImmutableSortedDictionary<string, long> Ahead,
    ImmutableSortedSet<string> Off,
    bool AreApart)
{
    /// <summary>Nothing is known yet.</summary>
    public static ClockVerdict None { get; } = new(
        0, false, null, null, Model.OrdinalMap.Empty<long>(), ImmutableSortedSet.Create<string>(StringComparer.Ordinal), false);
}
