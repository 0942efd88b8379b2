using System.Globalization;
using RaftMirror.Integration.Tests.Harness;
using Xunit;
using Xunit.Abstractions;

namespace RaftMirror.Integration.Tests.Kernel;

/// <summary>Guests with real kernels that run a script of this folder, for as long as a test lasts.</summary>
/// <param name="count">So many, all with the same script.</param>
/// <param name="limit">After which they are killed.</param>
/// <param name="share">A directory of the host that they see as /share.</param>
internal sealed class Guests(int count, TimeSpan limit, string share)
{
    private static readonly TimeSpan BootLimit = TimeSpan.FromMinutes(5);

    /// <summary>How often each case is to be run.</summary>
    public static int Runs => int.TryParse(Environment.GetEnvironmentVariable("RAFTMIRROR_VM_RUNS"), out var runs) ? runs : 1;

    /// <summary>A file of this folder, beside the tests.</summary>
    public static string Source(string name) => Path.Combine(AppContext.BaseDirectory, "Kernel", name);

    /// <summary>Runs the script, and the host's part once all guests are ready.</summary>
    /// <param name="output">Gets what the guests wrote.</param>
    /// <param name="script">Name of the script; its guests make the files <paramref name="ready"/> in /share.</param>
    /// <param name="environment">NAME=VALUE each.</param>
    /// <param name="ports">Of the nodes' NBD listeners.</param>
    /// <param name="ready">Names of files.</param>
    /// <param name="meanwhile">Ends by telling the guests to end.</param>
    /// <returns>What the guests wrote; all succeeded.</returns>
    public async Task<string> RunAsync(
        ITestOutputHelper output, string script, IEnumerable<string> environment, IEnumerable<int> ports, IEnumerable<string> ready, Func<Task> meanwhile)
    {
        using var end = new CancellationTokenSource();
        var work = ProcessResult.RunAsync(
            "bash",
            [
                Path.Combine(KernelTheoryDiscoverer.Harness!, "run-guest.sh"),
                "-n", count.ToString(CultureInfo.InvariantCulture), "-t", limit.TotalSeconds.ToString(CultureInfo.InvariantCulture), "-s", share,
                .. environment.SelectMany(static pair => (string[])["-E", pair]), Source(script),
                .. ports.Select(static port => port.ToString(CultureInfo.InvariantCulture)),
            ],
            limit + TimeSpan.FromMinutes(1), cancellationToken: end.Token);
        try
        {
            await Eventually.TrueAsync(
                "all guests are ready", BootLimit,
                () => work.IsCompleted ? throw new InvalidOperationException($"The guests ended: {work.Result}")
                    : Task.FromResult(ready.All(name => File.Exists(Path.Combine(share, name)))));
            await meanwhile();
            await work;
        }
        finally
        {
            await end.CancelAsync(); // A test that failed leaves no guests behind.
            await Record.ExceptionAsync(() => work);
        }

        var result = await work;
        output.WriteLine(result.Output + result.Error);
        Assert.Equal(0, result.ExitCode);
        return result.Output;
    }
}
