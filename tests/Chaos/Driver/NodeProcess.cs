using System.Collections.Concurrent;
using System.Diagnostics;
using System.Globalization;
using System.Reflection;
using System.Runtime.InteropServices;
using RaftMirror.Chaos.Node;

namespace RaftMirror.Chaos.Driver;

/// <summary>One life of a node's process. All that are alive are killed when this process ends, however it ends short of SIGKILL; then
/// their standard input ends, and they with it. Any thread.</summary>
internal sealed partial class NodeProcess : IAsyncDisposable
{
    private const int SigStop = 19;
    private const int SigCont = 18;
    private static readonly ConcurrentDictionary<NodeProcess, bool> Alive = new();
    private static readonly TimeSpan StartTimeout = TimeSpan.FromSeconds(60);
    private readonly Process _process;
    private readonly List<string> _errors = [];

    static NodeProcess() => AppDomain.CurrentDomain.ProcessExit += (_, _) =>
    {
        foreach (var process in Alive.Keys) process.Kill();
    };

    private NodeProcess(Process process)
    {
        _process = process;
        Alive[this] = true;
        process.ErrorDataReceived += (_, line) =>
        {
            lock (_errors)
            {
                if (line.Data is not null && _errors.Count < 40) _errors.Add(line.Data);
            }
        };
        process.BeginErrorReadLine();
    }

    /// <summary>Where clients connect.</summary>
    public int ClientPort { get; private set; }

    /// <summary>Where the node listens for its peers.</summary>
    public int PeerPort { get; private set; }

    public bool HasExited => _process.HasExited;

    /// <summary>What it wrote before it ended.</summary>
    public string Errors
    {
        get
        {
            lock (_errors) return string.Join('\n', _errors);
        }
    }

    /// <summary>Starts a node and waits until it serves.</summary>
    /// <exception cref="InvalidOperationException">It did not start.</exception>
    public static async Task<NodeProcess> StartAsync(NodeSettings settings)
    {
        // Under dotnet test the running program is the test host; the assembly is the same.
        var start = new ProcessStartInfo("dotnet", ["exec", Assembly.GetExecutingAssembly().Location, .. settings.ToArguments()])
        {
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        };
        start.Environment["DOTNET_gcServer"] = "0";
        start.Environment["DOTNET_EnableDiagnostics"] = "0"; // A process that is killed would leave the runtime's sockets in the temporary folder.
        var process = new NodeProcess(Process.Start(start) ?? throw new InvalidOperationException("No process was started."));
        try
        {
            var line = await process._process.StandardOutput.ReadLineAsync().WaitAsync(StartTimeout);
            if (line?.Split(' ') is not ["ready", var client, var peer])
            {
                await process._process.WaitForExitAsync().WaitAsync(StartTimeout);
                throw new InvalidOperationException($"Node {settings.Self} did not start: {line}\n{process.Errors}");
            }

            process.ClientPort = int.Parse(client, CultureInfo.InvariantCulture);
            process.PeerPort = int.Parse(peer, CultureInfo.InvariantCulture);
            return process;
        }
        catch
        {
            await process.DisposeAsync();
            throw;
        }
    }

    /// <summary>SIGKILL.</summary>
    public void Kill()
    {
        try
        {
            _process.Kill();
        }
        catch (InvalidOperationException)
        {
            // It has ended already.
        }
    }

    /// <summary>SIGSTOP: it neither runs nor closes anything.</summary>
    public void Pause() => Signal(SigStop);

    /// <summary>SIGCONT.</summary>
    public void Resume() => Signal(SigCont);

    /// <summary>Ends its input and waits until it has stopped in order.</summary>
    /// <returns>Its exit code.</returns>
    public async Task<int> StopAsync()
    {
        _process.StandardInput.Close();
        await _process.WaitForExitAsync().WaitAsync(StartTimeout);
        return _process.ExitCode;
    }

    public async ValueTask DisposeAsync()
    {
        if (!Alive.TryRemove(this, out _)) return;
        Kill();
        await _process.WaitForExitAsync();
        _process.Dispose();
    }

    private void Signal(int signal)
    {
        if (!_process.HasExited && kill(_process.Id, signal) != 0)
            throw new InvalidOperationException($"Signal {signal} failed: {Marshal.GetLastPInvokeError()}");
    }

    [LibraryImport("libc", SetLastError = true)]
    private static partial int kill(int pid, int signal);
}
