#if MUTANTS
namespace RaftMirror.Simulation.Consensus;

/// <summary>A seed for each mutant that was seen to find it, so that all of them can be tried in seconds. Only hints: code that changes
/// shifts what a seed does, and the hunt goes on from seed 1 then.</summary>
internal static class MutantSeeds
{
    public static readonly IReadOnlyDictionary<string, ulong> Known = new Dictionary<string, ulong>
    {
    };
}
#endif
