using RaftMirror.Consensus.Core;
using static RaftMirror.Simulation.Consensus.LivesWorld;

namespace RaftMirror.Simulation.Consensus;

/// <summary>
/// The one case of design §14.24 that nobody can prevent: a node is put back while nobody who knows better is up, and with a third goes another
/// way. When the one who knows comes back, all who are involved must stop with what they have; once the others give their history up, its
/// own goes on.
/// </summary>
internal static class HistoryConflictStory
{
    /// <exception cref="Harness.SimulationException">Something was cut, or somebody went on.</exception>
    public static void Run()
    {
        var world = new LivesWorld(seed: 1);
        var cores = world.Cores;
        world.Pass(5000);
        var copy = world.Disks[1];
        world.Stop(2);
        world.Pass(2000);
        world.Propose(2);
        world.Pass(2000);
        var acknowledged = cores[0].Log[cores[0].Commit].Id;
        world.Stop(0);
        world.Stop(1);
        world.Disks[1] = copy;
        world.Boot(1);
        world.Boot(2);
        world.Pass(5000);
        world.Propose(3); // Nobody who is up knows: two of three go on.
        world.Boot(0);
        world.Pass(20_000);
        Require(cores[0].Log.Contains(acknowledged), "what was committed here was cut off");
        Require(cores[0].Conflict is not null, "the one who came back did not notice the other history");
        Require(cores[2].Conflict is not null, "the one who went another way went on");
        Require(cores.All(core => core.Role != RaftRole.Leader), "somebody leads although two histories were committed");

        world.GiveUp(1, source: 0);
        world.GiveUp(2, source: 0);
        world.Pass(3000);
        Require(cores[0].Conflict is null, "the conflict did not end with the last one who gave its history up");
        world.Stop(0);
        world.Boot(0); // The shell starts anew then.
        world.Pass(10_000);
        Require(cores.All(core => core.Commit > acknowledged.Index && core.Log.Contains(acknowledged)), "the history that was chosen did not go on");
    }
}
