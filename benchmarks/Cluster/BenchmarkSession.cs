using System.ComponentModel;
using System.Runtime.InteropServices;

namespace RaftMirror.Benchmarks.Cluster;

/// <summary>One run: a directory that is removed and processes that are killed at its end, also after SIGINT and SIGTERM.</summary>
internal sealed class BenchmarkSession : IAsyncDisposable
{
    private static readonly string[] NoDisk = ["tmpfs", "ramfs"];
    private readonly CancellationTokenSource _stop = new();
    private readonly List<PosixSignalRegistration> _signals = [];

    private BenchmarkSession(string parent)
    {
        var path = Path.Combine(Path.GetFullPath(parent), $"raftmirror-bench-{Guid.NewGuid():N}");
        DataDirectory = Directory.CreateDirectory(path).FullName;
        foreach (var signal in (PosixSignal[])[PosixSignal.SIGINT, PosixSignal.SIGTERM])
        {
            _signals.Add(PosixSignalRegistration.Create(signal, context =>
            {
                context.Cancel = true;
                _stop.Cancel();
            }));
        }
    }

    public string DataDirectory { get; }

    public CancellationToken Stopping => _stop.Token;

    /// <summary>Runs a benchmark and cleans up whatever happens. What is wrong with the arguments or the machine is one line on stderr.</summary>
    /// <returns>The exit code: 0, 1 if it failed, 2 for wrong arguments, 130 if it was interrupted.</returns>
    public static async Task<int> RunAsync(
        string[] args, IReadOnlyDictionary<string, string> defaults, Func<BenchmarkArguments, BenchmarkSession, Task<int>> body)
    {
        try
        {
            var arguments = new BenchmarkArguments(args, defaults);
            await using var session = new BenchmarkSession(arguments.Text("--dir"));
            var format = new DriveInfo(session.DataDirectory).DriveFormat;
            if (NoDisk.Contains(format))
                throw new ArgumentException($"{session.DataDirectory} is {format}: flushes would cost nothing. Use --dir.");
            try
            {
                return await body(arguments, session);
            }
            catch (OperationCanceledException) when (session.Stopping.IsCancellationRequested)
            {
                await Console.Error.WriteLineAsync("interrupted");
                return 130;
            }
            finally
            {
                ChildProcess.KillAll();
            }
        }
        catch (Exception error) when (error is ArgumentException or FormatException)
        {
            await Console.Error.WriteLineAsync(error.Message);
            return 2;
        }
        catch (Exception error) when (error is InvalidOperationException or IOException or Win32Exception or TimeoutException
            or OperationCanceledException)
        {
            await Console.Error.WriteLineAsync($"failed: {error.Message}");
            return 1;
        }
    }

    public ValueTask DisposeAsync()
    {
        foreach (var signal in _signals) signal.Dispose();
        _stop.Dispose();
        if (Directory.Exists(DataDirectory)) Directory.Delete(DataDirectory, recursive: true);
        return ValueTask.CompletedTask;
    }
}
