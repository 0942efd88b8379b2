using RaftMirror.Primitives;
using static RaftMirror.Simulation.Consensus.LivesWorld;

namespace RaftMirror.Simulation.Consensus;

/// <summary>
/// Two of three directories are put back (design §14.24) beside a third node that knows, is connected, and is slow: what it says arrives many
/// grace periods later, or the nodes stand still before it is read. The two must wait for it: they are a majority, and would lead with what they have.
/// </summary>
internal static class SlowWitnessStory
{
    /// <param name="seed">Draws how slow the third node is, within what is waited for, how much was acknowledged after the copies were made, and who starts first.</param>
    /// <exception cref="Harness.SimulationException">The two went on by themselves, or were not found to be old.</exception>
    public static void Run(ulong seed)
    {
        var random = new Xoshiro(seed);
        var world = new LivesWorld(seed);
        world.Pass(5000);
        NodeDisk[] copies = [.. world.Disks];
        if (random.Chance(0.5))
        {
            for (var node = 0; node < Nodes; node++) world.Stop(node);
            for (var node = 0; node < Nodes; node++) world.Boot(node);
            world.Pass(5000);
        }

        world.Propose(1 + random.Next(3));
        world.Pass(3000);
        var witness = random.Next(Nodes);
        var acknowledged = world.Cores[witness].Log[world.Cores[witness].Commit].Id;
        for (var node = 0; node < Nodes; node++) world.Stop(node);
        var slowness = 1500 + random.Next(8000); // Milliseconds; a grace is 1200, and ten of them are waited.
        var standsStill = random.Chance(0.3);
        world.DelayMs = message => message.From != world.Cores[witness].Self ? 0 : standsStill ? 1_000_000 : slowness;
        var isFirst = random.Chance(0.5);
        if (isFirst) world.Boot(witness);
        foreach (var node in Enumerable.Range(0, Nodes).Where(node => node != witness))
        {
            world.Disks[node] = copies[node];
            world.Boot(node);
        }

        if (!isFirst) world.Boot(witness);
        if (standsStill)
        {
            world.Pass(random.Next(1000));
            world.Freeze(20_000); // A frozen cgroup, a suspended host. What the third node says begins to arrive after it.
            standsStill = false;
        }

        for (var passed = 0; passed < 30_000; passed += 100)
        {
            world.Pass(100);
            Require(world.Leader < 0, $"node {world.Leader + 1} leads though a node that is there knows better, and is {slowness} ms slow");
        }

        Require(world.Cores.All(core => core.Conflict is null), "a second history was committed");
        Require(world.Cores[witness].Old is null && world.Cores[witness].Log.Contains(acknowledged), "the one who knows is taken for old");
        Require(world.Cores.Count(core => core.Old is not null) == 2, "a directory that was put back was not found to be old");
    }

    /// <summary>A node whose disk hangs says at once that it knows nothing better, and holds nobody up.</summary>
    /// <exception cref="Harness.SimulationException">It does.</exception>
    public static void RunHungDisk(ulong seed)
    {
        var world = new LivesWorld(seed);
        world.Pass(5000);
        for (var node = 0; node < Nodes; node++) world.Stop(node);
        world.Hangs = 2;
        for (var node = 0; node < Nodes; node++) world.Boot(node);
        world.Pass(5000);
        Require(world.Leader >= 0, "two of three wait for one whose disk hangs");
        world.Propose(2);
    }

    /// <summary>A node that is connected and never answers keeps the others from leading for so long, and no longer.</summary>
    /// <exception cref="Harness.SimulationException">It does so for ever.</exception>
    public static void RunSilent(ulong seed)
    {
        var world = new LivesWorld(seed);
        world.Pass(5000);
        for (var node = 0; node < Nodes; node++) world.Stop(node);
        world.DelayMs = message => message.From == world.Cores[2].Self ? 1_000_000 : 0;
        for (var node = 0; node < Nodes; node++) world.Boot(node);
        world.Pass(20_000);
        Require(world.Leader >= 0, "two of three wait for ever for one that is connected and silent");
        world.Propose(2);
    }
}
