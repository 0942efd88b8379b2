using System.Globalization;
using RaftMirror.Integration.Tests.Harness;
using Xunit;
using Xunit.Abstractions;

namespace RaftMirror.Integration.Tests.Kernel;

/// <summary>The kernel's client as most set it up: nbd-client and one server, which is killed and started again. Debian's nbd-client 3.24 ends when its
/// connection does, with -persist too, so the device is attached anew, as soon as the node's process is there.</summary>
public sealed class NbdClientTests(ITestOutputHelper output)
{
    private static readonly TimeSpan Limit = TimeSpan.FromMinutes(5);

    public static TheoryData<int> Runs => [.. Enumerable.Range(1, int.TryParse(Environment.GetEnvironmentVariable("RAFTMIRROR_VM_RUNS"), out var runs) ? runs : 1)];

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
            using var end = new CancellationTokenSource();
            var guest = ProcessResult.RunAsync(
                "bash",
                [
                    Path.Combine(KernelTheoryDiscoverer.Harness!, "run-guest.sh"), "-n", "1", "-t", Limit.TotalSeconds.ToString(CultureInfo.InvariantCulture),
                    "-s", share, "-E", "EXPORT=kern/v", Path.Combine(AppContext.BaseDirectory, "Kernel", "attach.sh"),
                    node.NbdPort.ToString(CultureInfo.InvariantCulture),
                ],
                Limit + TimeSpan.FromMinutes(1), cancellationToken: end.Token);
            try
            {
                await Eventually.TrueAsync(
                    "the guest has written", Limit,
                    () => guest.IsCompleted ? throw new InvalidOperationException($"The guest ended: {guest.Result}") : Task.FromResult(File.Exists(Path.Combine(share, "ready"))));
                node.Kill();
                await cluster.RestartAsync(node);
                await File.WriteAllTextAsync(Path.Combine(share, "back"), "");
                await guest;
            }
            finally
            {
                await end.CancelAsync(); // A test that failed leaves no guest behind.
                await Record.ExceptionAsync(() => guest);
            }

            var result = await guest;
            output.WriteLine(result.Output + result.Error);
            Assert.Equal(0, result.ExitCode);
        });
}
