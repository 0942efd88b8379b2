using System.Collections.Concurrent;
using System.Diagnostics;
using System.Globalization;
using System.Reflection;
using System.Runtime.InteropServices;

namespace RaftMirror.Benchmarks.Cluster;

/// <summary>A process of a benchmark. All that are alive are killed when this process ends, however it ends short of SIGKILL; those of
/// ours end then too, since their standard input does.</summary>
internal sealed partial class ChildProcess : IAsyncDisposable
{
    private static readonly ConcurrentDictionary<ChildProcess, bool> Alive = new();
    private static readonly TimeSpan StartTimeout = TimeSpan.FromSeconds(30);
    private readonly Process _process;
    private readonly List<string> _errors = [];

    static ChildProcess() => AppDomain.CurrentDomain.ProcessExit += (_, _) => KillAll();

    private ChildProcess(Process process)
    {
        _process = process;
        Alive[this] = true;
        process.ErrorDataReceived += (_, line) =>
        {
            lock (_errors)
            {
                if (line.Data is not null && _errors.Count < 20) _errors.Add(line.Data);
            }
        };
        process.BeginErrorReadLine();
    }

    /// <summary>The process that was started: the tracer's where there is one.</summary>
    public int Pid => _process.Id;

    /// <summary>Starts a program.</summary>
    /// <param name="command">Its path and arguments.</param>
    public static ChildProcess Start(params IReadOnlyList<string> command)
    {
        var start = new ProcessStartInfo(command[0], command.Skip(1))
        {
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        };
        foreach (var name in start.Environment.Keys.Where(name => name.StartsWith("ETCD", StringComparison.Ordinal)).ToArray())
            start.Environment.Remove(name);
        start.Environment["DOTNET_EnableDiagnostics"] = "0"; // A process that is killed would leave the runtime's sockets in the temporary folder.
        return new ChildProcess(Process.Start(start) ?? throw new InvalidOperationException($"{command[0]} did not start."));
    }

    /// <summary>The command line of a part of this program.</summary>
    public static string[] Self(params IReadOnlyList<string> args)
    {
        var path = Environment.ProcessPath!;
        return Path.GetFileNameWithoutExtension(path) == "dotnet" ? [path, Assembly.GetExecutingAssembly().Location, .. args] : [path, .. args];
    }

    public static void KillAll()
    {
        foreach (var child in Alive.Keys) child.Kill();
    }

    /// <summary>Waits for "ready PORT" on standard output.</summary>
    public async Task<int> ReadyAsync(CancellationToken cancellationToken)
    {
        var line = await _process.StandardOutput.ReadLineAsync(cancellationToken).AsTask().WaitAsync(StartTimeout, cancellationToken);
        if (line is not null && line.StartsWith("ready ", StringComparison.Ordinal)) return int.Parse(line[6..], CultureInfo.InvariantCulture);
        throw new InvalidOperationException($"{_process.StartInfo.FileName} did not start: {line}\n{Errors()}");
    }

    /// <summary>Waits for the end and returns standard output.</summary>
    /// <exception cref="InvalidOperationException">An exit code that is not 0.</exception>
    public async Task<string> OutputAsync(CancellationToken cancellationToken)
    {
        var output = await _process.StandardOutput.ReadToEndAsync(cancellationToken);
        await _process.WaitForExitAsync(cancellationToken);
        if (_process.ExitCode == 0) return output;
        throw new InvalidOperationException($"{_process.StartInfo.FileName} ended with {_process.ExitCode}: {Errors()}");
    }

    /// <summary>The process that serves: the tracer's only child where there is a tracer.</summary>
    public int ServingPid(bool isTraced)
    {
        if (!isTraced) return Pid;
        var children = File.ReadAllText($"/proc/{Pid}/task/{Pid}/children").Split(' ', StringSplitOptions.RemoveEmptyEntries);
        return int.Parse(children[0], CultureInfo.InvariantCulture);
    }

    public static void Signal(int pid, PosixSignal signal)
    {
        if (kill(pid, signal == PosixSignal.SIGTERM ? 15 : throw new ArgumentOutOfRangeException(nameof(signal))) != 0)
            throw new InvalidOperationException($"Process {pid} is not there.");
    }

    /// <summary>SIGKILL, also to what it started.</summary>
    public void Kill()
    {
        try
        {
            _process.Kill(entireProcessTree: true);
        }
        catch (InvalidOperationException)
        {
            // It has ended by itself.
        }
    }

    /// <summary>Ends its input, waits, and kills it if that was not enough.</summary>
    public async Task StopAsync(TimeSpan patience)
    {
        try
        {
            _process.StandardInput.Close();
            await _process.WaitForExitAsync().WaitAsync(patience);
        }
        catch (TimeoutException)
        {
            Kill();
            await _process.WaitForExitAsync();
        }
    }

    public async ValueTask DisposeAsync()
    {
        if (!Alive.TryRemove(this, out _)) return;
        Kill();
        await _process.WaitForExitAsync();
        _process.Dispose();
    }

    private string Errors()
    {
        lock (_errors) return string.Join('\n', _errors);
    }

    [LibraryImport("libc", SetLastError = true)]
    private static partial int kill(int pid, int signal);
}
