using RaftMirror.Integration.Tests.Harness;
using Xunit;
using Xunit.Abstractions;

namespace RaftMirror.Integration.Tests.Kernel;

/// <summary>The kernel's client as most set it up: nbd-client and one server, which is killed and started again. Debian's nbd-client 3.24 ends when its
/// connection does, with -persist too, so the device is attached anew, as soon as the node's process is there.</summary>
public sealed class NbdClientTests(ITestOutputHelper output)
{
    private static readonly TimeSpan Limit = TimeSpan.FromMinutes(5);

    public static TheoryData<int> Runs => [.. Enumerable.Range(1, Guests.Runs)];

    [KernelTheory]
    [MemberData(nameof(Runs))]
    public async Task AttachedAnew_NodeWasKilledAndIsBack_IsServed(int run) =>
        await TestCluster.RunAsync(output, async cluster =>
        {
            await cluster.CreateSetAsync("kern", disks: 2, megabytes: 256);
            await cluster.CreateMirrorAsync("kern/v", "64M");
            var share = cluster.File("share");
            Directory.CreateDirectory(share);
            var node = cluster.Nodes[run % cluster.Nodes.Count];
            await new Guests(1, Limit, share).RunAsync(output, "attach.sh", ["EXPORT=kern/v"], [node.NbdPort], ["ready"], async () =>
            {
                node.Kill();
                await cluster.RestartAsync(node);
                await File.WriteAllTextAsync(Path.Combine(share, "back"), "");
            });
        });
}
