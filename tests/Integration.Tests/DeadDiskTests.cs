using System.Diagnostics;
using System.Text.Json.Nodes;
using RaftMirror.Integration.Tests.Harness;
using RaftMirror.Integration.Tests.Nbd;
using Xunit;
using Xunit.Abstractions;

namespace RaftMirror.Integration.Tests;

/// <summary>A disk dies: nothing that does not need it may wait for it (design §14.1, §14.20).</summary>
public sealed class DeadDiskTests(ITestOutputHelper output)
{
    private const int Eio = 5;
    private static readonly TimeSpan Limit = TimeSpan.FromSeconds(30);

    [ToolFact("gcc")] // The barrier of the busy mirror's lost leg waited for a label on the dead disk, since the idle mirror's leg had not failed.
    public async Task DiskOfTwoMirrors_DiesUnderOneWhileTheOtherIsIdle_WriteIsAnsweredAndBothLegsAreLost() => await TestCluster.RunAsync(
        output,
        async cluster =>
        {
            var faults = DiskFaults.Of(cluster);
            await cluster.CreateSetAsync("dead", disks: 2, megabytes: 200);
            await cluster.CreateMirrorAsync("dead/busy", "16M");
            await cluster.CreateMirrorAsync("dead/idle", "16M");
            await using var client = await NbdClient.ConnectAsync(cluster["a"], "dead/busy");
            Assert.Equal(0u, await client.WriteAsync(0, new byte[4096]));

            faults.Fail("dead-d1", "rwf", Eio, cluster.Nodes);
            Assert.Equal(0u, await client.WriteAsync(0, Enumerable.Repeat((byte)7, 4096).ToArray()).WaitAsync(Limit));

            Assert.True(faults.Hits(cluster["a"]) > 0, "the fault was met");
            JsonNode? last = null;
            await Eventually.TrueAsync("both legs on the dead disk are lost", Limit, async () =>
            {
                last = (await cluster.StatusAsync(cluster["a"]))["disksets"]![0]!;
                return last["volumes"]!.AsArray().All(volume =>
                    (string?)volume!["state"] == "degraded" && (string?)volume["submirrors"]![1]!["state"] != "okay");
            }, () => last?.ToJsonString() ?? "");
        },
        arguments: await DiskFaults.PrepareAsync());

    [ToolFact("gcc")] // It stopped every logged volume of the set, also those that do not lie on it, without a word.
    public async Task DiskHangsForAllNodes_WriteIsAnsweredOtherVolumesDoNotWaitAndStatusNamesIt() => await TestCluster.RunAsync(
        output,
        async cluster =>
        {
            var faults = DiskFaults.Of(cluster);
            await cluster.CreateSetAsync("hang", disks: 2, megabytes: 200);
            await cluster.CreateMirrorAsync("hang/v", "16M");
            await cluster.CliAsync("mirror", "create", "hang/other", "--size", "32M", "--on", "d0");
            await cluster.WaitUntilHealthyAsync("hang/other");
            await using var client = await NbdClient.ConnectAsync(cluster["a"], "hang/v");
            await using var neighbour = await NbdClient.ConnectAsync(cluster["a"], "hang/other");
            Assert.Equal(0u, await client.WriteAsync(0, new byte[4096]));
            Assert.Equal(0u, await neighbour.WriteAsync(0, new byte[4096]));
            var since = await cluster.LastEventAsync();

            faults.Hang("hang-d1", "rwf", cluster.Nodes);
            var clock = Stopwatch.StartNew();
            var stuck = client.WriteAsync(4096, Enumerable.Repeat((byte)7, 4096).ToArray());
            var (longest, writes, sawWait) = (TimeSpan.Zero, 0, false);
            while (!stuck.IsCompleted && clock.Elapsed < Limit)
            {
                // A region that is not marked yet: the dirty log, which lies on the hanging disk as well, must take its mark.
                var begun = clock.Elapsed;
                Assert.Equal(0u, await neighbour.WriteAsync(++writes % 32 << 20, new byte[4096]).WaitAsync(Limit));
                if (clock.Elapsed - begun > longest) longest = clock.Elapsed - begun;
                sawWait |= await HasCauseAsync(cluster, "RM1203 DISK_SLOW", "d1");
            }

            Assert.Equal(0u, await stuck.WaitAsync(Limit));
            output.WriteLine($"answered after {clock.Elapsed.TotalSeconds:0.0} s; {writes} writes of the other volume meanwhile, the longest {longest.TotalMilliseconds:0} ms");
            Assert.True(faults.Hits(cluster["a"]) > 0, "the fault was met");
            Assert.True(longest < TimeSpan.FromSeconds(3), $"the other volume waited {longest}: for the device time-out, that is");
            Assert.True(sawWait, "status named the disk while the write waited");
            var lost = await Eventually.GetAsync("the loss is an event", Limit, async () =>
                (await cluster.EventsAsync(since)).FirstOrDefault(item => (string?)item["type"] == "DiskLost"));
            Assert.Equal(("d1", "timedOut"), ((string?)lost["disk"], (string?)lost["reason"]));
            Assert.True(await HasCauseAsync(cluster, "RM1204 DISK_IO_OUTSTANDING", "d1"));

            // The late writes land, on a leg that nobody uses; only then may the disk come back.
            faults.End(cluster.Nodes);
            await Eventually.TrueAsync("each node has said that none of its calls is left", Limit, async () =>
                (await cluster.EventsAsync(since)).Count(item => (string?)item["type"] == "DiskIoEnded") >= cluster.Nodes.Count);
            var read = new byte[4096];
            await client.ReadAsync(4096, read);
            Assert.All(read, value => Assert.Equal(7, value));
        },
        arguments: await DiskFaults.PrepareAsync());

    [ToolFact("gcc")] // Path is not media: the node whose way to the disk hangs goes without, the disk stays.
    public async Task DiskHangsForOneNode_DiskIsNotLostAndTheNodeServesAgainWhenItAnswers() => await TestCluster.RunAsync(
        output,
        async cluster =>
        {
            var faults = DiskFaults.Of(cluster);
            await using var writers = await TwoWriters.StartAsync(cluster, "path", options: ["--device-timeout", "10s"]);
            var (client, other, since) = writers;

            faults.Hang("path-d1", "rwf", cluster["a"]);
            var stuck = client.WriteAsync(0, Enumerable.Repeat((byte)9, 4096).ToArray());
            await Eventually.TrueAsync("status says which node does not reach which disk", Limit, () => HasCauseAsync(cluster, "RM1205 DISK_NOT_SEEN", "d1"));
            Assert.True(faults.Hits(cluster["a"]) > 0, "the fault was met");
            Assert.Equal(0u, await other.WriteAsync(9 << 20, new byte[4096]).WaitAsync(Limit)); // On both legs, through node b.

            faults.End(cluster["a"]);
            Assert.Equal(0u, await stuck.WaitAsync(Limit));
            await Eventually.TrueAsync("node a has taken its word back", Limit, async () => !await HasCauseAsync(cluster, "RM1205 DISK_NOT_SEEN", "d1"));
            Assert.Equal(0u, await client.WriteAsync(0, Enumerable.Repeat((byte)8, 4096).ToArray()).WaitAsync(Limit));
            await cluster.WaitUntilHealthyAsync("path/v");
            Assert.DoesNotContain(await cluster.EventsAsync(since), item => (string?)item["type"] == "DiskLost");
        },
        arguments: await DiskFaults.PrepareAsync());

    [ToolFact("gcc", "cmp")] // An error is no more than a hang proof against the disk: it fails on one node and is fine on the others.
    public async Task DiskFailsForOneNode_DiskStaysThatNodeGoesWithoutAndServesAgainWhenItWorks() => await TestCluster.RunAsync(
        output,
        async cluster =>
        {
            var faults = DiskFaults.Of(cluster);
            await using var writers = await TwoWriters.StartAsync(cluster, "eio");
            var (client, other, since) = writers;

            faults.Fail("eio-d1", "rwf", Eio, cluster["a"]);
            var torn = Record.ExceptionAsync(async () => Assert.NotEqual(0u, await client.WriteAsync(0, Enumerable.Repeat((byte)9, 4096).ToArray())));
            await Eventually.TrueAsync("status says which node cannot use which disk", Limit, () => HasCauseAsync(cluster, "RM1205 DISK_NOT_SEEN", "d1"));
            Assert.True(faults.Hits(cluster["a"]) > 0, "the fault was met");
            await torn.WaitAsync(Limit); // Not acknowledged: refused or dropped.
            Assert.Equal(0u, await other.WriteAsync(9 << 20, Enumerable.Repeat((byte)5, 4096).ToArray()).WaitAsync(Limit)); // On both legs, through b.
            await Eventually.TrueAsync("what the write left torn is made equal by the others", Limit, async () =>
                (await cluster.StatusAsync(cluster["b"]))["disksets"]![0]!["volumes"]![0]!["staleRegions"]!.GetValue<long>() == 0
                && (await cluster.EventsAsync(since)).Any(item => (string?)item["type"] == "DirtyLogMerged"));

            faults.End(cluster["a"]);
            await Eventually.TrueAsync("node a has taken its word back", Limit, async () => !await HasCauseAsync(cluster, "RM1205 DISK_NOT_SEEN", "d1"));
            await Eventually.TrueAsync("node a serves again", Limit, async () =>
            {
                await using var again = await NbdClient.ConnectAsync(cluster["a"], "eio/v");
                return await again.WriteAsync(0, Enumerable.Repeat((byte)8, 4096).ToArray()) == 0;
            });
            await cluster.WaitUntilHealthyAsync("eio/v");
            var events = await cluster.EventsAsync(since);
            Assert.DoesNotContain(events, item => (string?)item["type"] is "DiskLost" or "DiskFailed" or "SubmirrorStateChanged");
            Assert.Contains(events, item => (string?)item["type"] == "DisksReported" && item.ToJsonString().Contains("b can use it there", StringComparison.Ordinal));
            await Legs.AssertIdenticalAsync(cluster, "eio/v", 16 << 20);
        },
        arguments: await DiskFaults.PrepareAsync());

    [ToolFact("gcc")] // A bad sector is the medium: each node that is asked reads the place, and fails there as well.
    public async Task SectorIsBadForAllNodes_ReadIsAnsweredLegIsLostAndTheEventSaysWhoWasAsked() => await TestCluster.RunAsync(
        output,
        async cluster =>
        {
            var faults = DiskFaults.Of(cluster);
            await cluster.CreateSetAsync("sector", disks: 2, megabytes: 200);
            await cluster.CreateMirrorAsync("sector/v", "16M");
            await using var client = await NbdClient.ConnectAsync(cluster["a"], "sector/v");
            Assert.Equal(0u, await client.WriteAsync(8 << 20, Enumerable.Repeat((byte)7, 4096).ToArray()));
            var since = await cluster.LastEventAsync();

            // From the volume's middle on: labels, slots and the first half read well.
            var offset = (await Legs.MapAsync(cluster, "sector/v"))[1][0].DiskOffset + (8 << 20);
            faults.FailFrom("sector-d1", "r", Eio, offset, cluster.Nodes);
            JsonNode? lost = null;
            await Eventually.TrueAsync("reads met the place, and its leg is lost", Limit, async () =>
            {
                var block = new byte[4096];
                await client.ReadAsync(8 << 20, block).WaitAsync(Limit); // Always answered: from the other leg.
                Assert.All(block, value => Assert.Equal(7, value));
                lost = (await cluster.EventsAsync(since)).FirstOrDefault(item => (string?)item["type"] == "SubmirrorStateChanged");
                return lost is not null;
            });
            Assert.True(faults.Hits(cluster["b"]) + faults.Hits(cluster["c"]) > 1, "the others were asked, at that place");
            Assert.Contains("b gets errors too, c gets errors too", lost!.ToJsonString(), StringComparison.Ordinal);
        },
        arguments: await DiskFaults.PrepareAsync());

    [ToolFact("gcc", "cmp")]
    public async Task DiskHangsForAllNodes_AnswersAgain_ComesBackByItselfAndLegsAreEqual() => await TestCluster.RunAsync(
        output,
        async cluster =>
        {
            var faults = DiskFaults.Of(cluster);
            await cluster.CreateSetAsync("thaw", disks: 2, megabytes: 200);
            await cluster.CreateMirrorAsync("thaw/v", "16M");
            await using var client = await NbdClient.ConnectAsync(cluster["a"], "thaw/v");
            Assert.Equal(0u, await client.WriteAsync(0, new byte[4096]));
            var since = await cluster.LastEventAsync();

            faults.Hang("thaw-d1", "rwf", cluster.Nodes);
            Assert.Equal(0u, await client.WriteAsync(0, Enumerable.Repeat((byte)1, 4096).ToArray()).WaitAsync(Limit)); // d1 is lost meanwhile.
            Assert.True(faults.Hits(cluster["a"]) > 0, "the fault was met");
            Assert.Equal(0u, await client.WriteAsync(0, Enumerable.Repeat((byte)2, 4096).ToArray()).WaitAsync(Limit)); // The hung call holds the former.
            Assert.Equal(0u, await client.WriteAsync(4 << 20, Enumerable.Repeat((byte)3, 4096).ToArray()).WaitAsync(Limit));
            await Eventually.TrueAsync("the disk is lost, and calls to it may still land", Limit, () => HasCauseAsync(cluster, "RM1204 DISK_IO_OUTSTANDING", "d1"));
            Assert.DoesNotContain(await cluster.EventsAsync(since), item => (string?)item["type"] == "DiskReturned");

            faults.End(cluster.Nodes);
            await Eventually.TrueAsync("the disk comes back by itself", Limit + Limit, async () =>
                (await cluster.EventsAsync(since)).Any(item => (string?)item["type"] == "DiskReturned"));
            await cluster.WaitUntilHealthyAsync("thaw/v");
            var events = (await cluster.EventsAsync(since)).Select(item => (string?)item["type"]).ToList();
            Assert.True(events.LastIndexOf("DiskIoEnded") < events.IndexOf("DiskReturned"), "not before each node's calls had ended");
            Assert.Equal(cluster.Nodes.Count, events.Count(type => type == "DiskIoEnded"));
            await Legs.AssertIdenticalAsync(cluster, "thaw/v", 16 << 20);
            var read = new byte[4096];
            await client.ReadAsync(0, read);
            Assert.All(read, value => Assert.Equal(2, value));
        },
        arguments: await DiskFaults.PrepareAsync());

    [ToolFact("gcc")] // The last leg with the data is never given up: what needs it waits, with a cause and a bound.
    public async Task LastReadableLegHangs_WritesWaitWithACauseClientsAreDroppedAndOwnershipStays() => await TestCluster.RunAsync(
        output,
        async cluster =>
        {
            var faults = DiskFaults.Of(cluster);
            await cluster.CreateSetAsync("last", disks: 2, megabytes: 200);
            await cluster.CliAsync("mirror", "create", "last/v", "--size", "16M", "--on", "d1");
            await cluster.WaitUntilHealthyAsync("last/v");
            await using var client = await NbdClient.ConnectAsync(cluster["a"], "last/v");
            Assert.Equal(0u, await client.WriteAsync(0, new byte[4096]));
            await using var second = await NbdClient.ConnectAsync(cluster["a"], "last/v");
            Assert.Equal(0u, await second.WriteAsync(8 << 20, new byte[4096]));
            await using var elsewhere = await NbdClient.ConnectAsync(cluster["b"], "last/v");

            faults.Hang("last-d1", "rwf", cluster.Nodes);
            var clock = Stopwatch.StartNew();
            var stuck = Record.ExceptionAsync(() => client.WriteAsync(0, Enumerable.Repeat((byte)1, 4096).ToArray()));
            var overlapping = Record.ExceptionAsync(() => second.WriteAsync(0, Enumerable.Repeat((byte)2, 4096).ToArray()));
            await Eventually.TrueAsync("status says what waits, for what, and that it is the last", Limit, () => HasCauseAsync(cluster, "RM1105 IO_WAITS", "the only submirror with the data"));
            var moved = Record.ExceptionAsync(() => elsewhere.WriteAsync(4 << 20, Enumerable.Repeat((byte)3, 4096).ToArray())); // Wants ownership.
            var bound = TimeSpan.FromSeconds(60);
            Assert.NotNull(await stuck.WaitAsync(bound)); // Dropped, not answered.
            Assert.NotNull(await overlapping.WaitAsync(bound));
            output.WriteLine($"dropped after {clock.Elapsed.TotalSeconds:0.0} s");
            Assert.True(faults.Hits(cluster["a"]) > 0, "the fault was met");
            var volume = (await cluster.StatusAsync(cluster["b"]))["disksets"]![0]!["volumes"]![0]!;
            Assert.Equal("a", (string?)volume["owner"]!["node"]);
            Assert.Equal("okay", (string?)volume["submirrors"]![0]!["state"]);
            await moved.WaitAsync(bound);

            faults.End(cluster.Nodes);
            await Eventually.TrueAsync("writes go on", Limit + Limit, async () =>
            {
                await using var again = await NbdClient.ConnectAsync(cluster["a"], "last/v");
                return await again.WriteAsync(0, Enumerable.Repeat((byte)4, 4096).ToArray()).WaitAsync(Limit) == 0;
            });
            await using var reader = await NbdClient.ConnectAsync(cluster["b"], "last/v");
            var read = new byte[4096];
            await reader.ReadAsync(0, read);
            Assert.All(read, value => Assert.Equal(4, value));
        },
        arguments: await DiskFaults.PrepareAsync());

    [ToolFact("gcc")] // No disk is given up where all hang, and the dirty log waits with them: who only waits for its mark was held for ever.
    public async Task EveryDiskHangs_WriteOfAFreshRegionIsDroppedWithACauseAndGoesOnAfterwards() => await TestCluster.RunAsync(
        output,
        async cluster =>
        {
            var faults = DiskFaults.Of(cluster);
            await cluster.CreateSetAsync("all", disks: 2, megabytes: 200);
            await cluster.CreateMirrorAsync("all/v", "16M");
            await using var client = await NbdClient.ConnectAsync(cluster["a"], "all/v");
            Assert.Equal(0u, await client.WriteAsync(0, new byte[4096]));

            faults.Hang("all-d", "rwf", cluster.Nodes); // Both.
            var clock = Stopwatch.StartNew();
            var stuck = Record.ExceptionAsync(() => client.WriteAsync(12 << 20, Enumerable.Repeat((byte)1, 4096).ToArray()));
            await Eventually.TrueAsync("status says that it waits, and for what", Limit, () => HasCauseAsync(cluster, "RM1107 REQUEST_HELD", "for its mark in the dirty log"));
            await Eventually.TrueAsync("status says which disk hangs", Limit, () => HasCauseAsync(cluster, "RM1203 DISK_SLOW", "none is given up"));
            Assert.NotNull(await stuck.WaitAsync(TimeSpan.FromSeconds(60))); // Dropped, not answered.
            output.WriteLine($"dropped after {clock.Elapsed.TotalSeconds:0.0} s");
            Assert.True(faults.Hits(cluster["a"]) > 0, "the fault was met");

            faults.End(cluster.Nodes);
            await Eventually.TrueAsync("writes go on", Limit + Limit, async () =>
            {
                await using var again = await NbdClient.ConnectAsync(cluster["b"], "all/v");
                return await again.WriteAsync(12 << 20, Enumerable.Repeat((byte)2, 4096).ToArray()).WaitAsync(Limit) == 0;
            });
            await using var reader = await NbdClient.ConnectAsync(cluster["c"], "all/v");
            var read = new byte[4096];
            await reader.ReadAsync(12 << 20, read);
            Assert.All(read, value => Assert.Equal(2, value));
        },
        arguments: await DiskFaults.PrepareAsync());

    [ToolFact("gcc", "cmp")] // Its call would land over what the others write once it is fenced: a kill does not take it out of the kernel.
    public async Task NodeDiesWhileItsPathHangs_DiskIsLostUntilItsCallsHaveEndedAndComesBackByItself() => await TestCluster.RunAsync(
        output,
        async cluster =>
        {
            var faults = DiskFaults.Of(cluster);
            await using var writers = await TwoWriters.StartAsync(cluster, "fence");
            var (client, other, since) = writers;

            faults.Hang("fence-d1", "rwf", cluster["a"]);
            _ = Record.ExceptionAsync(() => client.WriteAsync(0, Enumerable.Repeat((byte)1, 4096).ToArray()));
            await Eventually.TrueAsync("the node has said which disk hangs there", Limit, () => HasCauseAsync(cluster, "RM1205 DISK_NOT_SEEN", "d1"));
            cluster["a"].Kill();
            Assert.Equal(0u, await other.WriteAsync(0, Enumerable.Repeat((byte)2, 4096).ToArray()).WaitAsync(Limit + Limit)); // Once a is fenced.
            var lost = await Eventually.GetAsync("the disk is lost with the receipt", Limit, async () =>
                (await cluster.EventsAsync(since)).FirstOrDefault(item => (string?)item["type"] == "DiskLost"));
            Assert.Equal(("d1", "timedOut"), ((string?)lost["disk"], (string?)lost["reason"]));
            await Eventually.TrueAsync("status says whose calls may land", Limit, () => HasCauseAsync(cluster, "RM1204 DISK_IO_OUTSTANDING", "a (incarnation"));
            Assert.DoesNotContain(await cluster.EventsAsync(since), item => (string?)item["type"] == "DiskReturned");

            faults.End(cluster["a"]);
            await cluster.RestartAsync(cluster["a"]); // It holds the directory, so the former process is gone, its calls with it.
            await cluster.WaitUntilHealthyAsync("fence/v");
            Assert.Contains(await cluster.EventsAsync(since), item => (string?)item["type"] == "DiskReturned");
            await using (var reader = await NbdClient.ConnectAsync(cluster["c"], "fence/v"))
            {
                var read = new byte[4096];
                await reader.ReadAsync(0, read);
                Assert.All(read, value => Assert.Equal(2, value));
            }

            await Legs.AssertIdenticalAsync(cluster, "fence/v", 16 << 20);
        },
        arguments: await DiskFaults.PrepareAsync());

    [ToolFact("gcc", "cmp")] // What one node says against a disk must not keep it lost: it is asked again although its data plane has closed the disk.
    public async Task DiskFailsForOneNodeThenHangsForTheOthers_WorksAgain_ComesBackByItselfAndLegsAreEqual() => await TestCluster.RunAsync(
        output,
        async cluster =>
        {
            var faults = DiskFaults.Of(cluster);
            await using var writers = await TwoWriters.StartAsync(cluster, "word");
            var (client, other, since) = writers;

            // Reads of the data only: the label reads well, and nothing is torn.
            faults.FailFrom("word-d1", "r", Eio, (await Legs.MapAsync(cluster, "word/v"))[1][0].DiskOffset, cluster["a"]);
            _ = Record.ExceptionAsync(async () => // The one that meets it waits: the node serves nothing that needs the disk.
            {
                while (true) await client.ReadAsync(0, new byte[4096]);
            });
            await Eventually.TrueAsync(
                "node a has said that it cannot use the disk", Limit, () => HasCauseAsync(cluster, "RM1205 DISK_NOT_SEEN", "node a cannot use disk d1"));
            Assert.True(faults.Hits(cluster["a"]) > 0, "the fault was met");

            // Node a answers that it reaches the disk; since what hangs on b may still land, the disk is lost all the same, and a closes it.
            faults.Hang("word-d1", "rwf", cluster["b"], cluster["c"]);
            Assert.Equal(0u, await other.WriteAsync(9 << 20, Enumerable.Repeat((byte)5, 4096).ToArray()).WaitAsync(Limit));
            Assert.Contains(await cluster.EventsAsync(since), item => (string?)item["type"] == "DiskLost");

            faults.End(cluster.Nodes);
            await cluster.WaitUntilHealthyAsync("word/v");
            Assert.Contains(await cluster.EventsAsync(since), item => (string?)item["type"] == "DiskReturned");
            await Legs.AssertIdenticalAsync(cluster, "word/v", 16 << 20);
        },
        arguments: await DiskFaults.PrepareAsync());

    [ToolFact("gcc", "cmp")] // It kept the resync, and every node's reads of what was owed waited for it, were dropped, and waited again.
    public async Task OwnerOfAResyncCannotReadADisk_AnotherNodeEndsIt() => await TestCluster.RunAsync(
        output,
        async cluster =>
        {
            var faults = DiskFaults.Of(cluster);
            await using var writers = await TwoWriters.StartAsync(cluster, "owed");
            var (onA, onB, since) = writers;
            await using (var dying = await NbdClient.ConnectAsync(cluster["c"], "owed/v"))
            {
                for (var i = 0; i < 16; i++) Assert.Equal(0u, await dying.WriteAsync((long)i << 20, Enumerable.Repeat((byte)3, 4096).ToArray()));
            }

            // The label reads well, and no client reads there: only what copies the data meets it.
            // Whoever is the set's master once c is fenced merges its log, and is given the resync; of the two that stay a has the lower number.
            var now = (string?)(await cluster.StatusAsync(cluster["b"]))["disksets"]![0]!["master"];
            var (master, other) = now == "b" ? ("b", "a") : ("a", "b");
            faults.FailFrom("owed-d0", "r", Eio, (await Legs.MapAsync(cluster, "owed/v"))[0][0].DiskOffset, cluster[master]);
            cluster["c"].Kill();
            var owner = await Eventually.GetAsync("somebody resyncs", Limit, async () =>
                (await cluster.EventsAsync(since)).FirstOrDefault(item => (string?)item["type"] == "OwnerChanged"));
            Assert.Equal(master, (string?)owner["to"]);
            var read = new byte[4096];
            await (master == "a" ? onB : onA).ReadAsync(5 << 20, read).WaitAsync(Limit);
            Assert.All(read, value => Assert.Equal(3, value));
            Assert.True(faults.Hits(cluster[master]) > 0, "the fault was met");
            var events = await Eventually.GetAsync("the resync has ended", Limit, async () =>
                await cluster.EventsAsync(since) is var all && all.Any(item => (string?)item["type"] == "ResyncFinished") ? all : null);
            Assert.Contains(events, item => (string?)item["type"] == "OwnershipTransferStarted" && (string?)item["from"] == master && (string?)item["to"] == other);
            Assert.Equal(other, (string?)events.Last(item => (string?)item["type"] == "ResyncFinished")["node"]);

            faults.End(cluster[master]);
            await cluster.RestartAsync(cluster["c"]);
            await cluster.WaitUntilHealthyAsync("owed/v");
            await Legs.AssertIdenticalAsync(cluster, "owed/v", 16 << 20);
        },
        arguments: await DiskFaults.PrepareAsync());

    private static async Task<bool> HasCauseAsync(TestCluster cluster, string code, string word)
    {
        var set = (await cluster.StatusAsync(cluster["b"]))["disksets"]![0]!;
        return set["causes"]!.AsArray().Any(cause => (string?)cause!["code"] == code && ((string?)cause["cause"])!.Contains(word, StringComparison.Ordinal));
    }
}
