using RaftMirror.DataPlane.DirtyRegions.Core;
using RaftMirror.Primitives;
using Xunit;

namespace RaftMirror.DataPlane.Tests.DirtyRegions;

public sealed class SimulatedLogTests
{
    [Fact]
    public void Recover_CrashAndFaults_NeverFewerThanWasCommitted()
    {
        for (ulong seed = 0; seed < 500; seed++)
        {
            var random = new Xoshiro(seed);
            var log = new SimulatedLog(4, 2);
            log.Open();
            var committed = new HashSet<long>();
            for (var i = random.Next(200); i >= 0; i--)
            {
                var isDirty = random.Chance(0.7);
                var updates = Enumerable.Range(0, random.Next(1, 40))
                    .Select(_ => new RegionUpdate(1, random.NextInt64(3000), isDirty)).ToArray();
                log.Append(updates);
                if (!isDirty) committed.ExceptWith(updates.Select(u => u.Region));
                if (!random.Chance(0.8)) continue;
                log.Commit();
                if (isDirty) committed.UnionWith(updates.Select(u => u.Region));
            }

            log.Crash(random);
            var fault = random.Next(3);
            if (fault == 1) log.Flip(random);
            if (fault == 2) log.Lose(random);
            var found = log.Recover(4, 2);
            if (fault == 0) Assert.False(found.IsEverythingDirty, $"seed {seed}: {found.Doubt}");
            if (found.IsEverythingDirty) continue;
            Assert.True(committed.IsSubsetOf(found.Marks.TryGetValue(1, out var marks) ? marks : []), $"seed {seed}");
        }
    }

    [Fact]
    public void Recover_WrongIncarnation_EverythingIsDirty()
    {
        var log = new SimulatedLog(4, 2);
        log.Open();
        Assert.True(log.Recover(5, 2).IsEverythingDirty);
        Assert.True(log.Recover(4, 1).IsEverythingDirty);
    }
}
