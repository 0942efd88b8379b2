using System.Diagnostics;
using System.Net;

namespace RaftMirror.Cli.Demo;

/// <summary>One node of the demo: a process of its own, started from this very program.</summary>
internal sealed class DemoNode(string name, string directory, int apiPort, int peerPort, int nbdPort) : IDisposable
{
    private readonly Lock _gate = new();
    private Process? _process;

    public string Name => name;

    public string Api => $"127.0.0.1:{apiPort}";

    public string Peer => $"127.0.0.1:{peerPort}";

    public IPEndPoint Nbd => new(IPAddress.Loopback, nbdPort);

    public string LogPath => Path.Combine(directory, $"{name}.log");

    public bool IsRunning => _process is { HasExited: false };

    public int? ProcessId => _process?.Id;

    /// <summary>Starts the process; it runs once its API answers.</summary>
    public void Start(string cluster)
    {
        var self = Environment.ProcessPath!;
        var start = new ProcessStartInfo(self) { RedirectStandardOutput = true, RedirectStandardError = true, RedirectStandardInput = true };
        start.Environment["DOTNET_EnableDiagnostics"] = "0"; // A node that is killed would leave the runtime's sockets in the temporary folder.
        if (Path.GetFileNameWithoutExtension(self) == "dotnet") start.ArgumentList.Add(typeof(DemoNode).Assembly.Location);
        string[] args =
        [
            "node", "run", "--name", name, "--data", Path.Combine(directory, name), "--api", Api, "--peer", Peer,
            "--nbd", Nbd.ToString(), "--cluster", cluster, "--cluster-name", "demo",
        ];
        foreach (var arg in args) start.ArgumentList.Add(arg);
        var process = new Process { StartInfo = start };
        process.OutputDataReceived += (_, line) => Log(line.Data);
        process.ErrorDataReceived += (_, line) => Log(line.Data);
        process.Start();
        process.BeginOutputReadLine();
        process.BeginErrorReadLine();
        _process?.Dispose();
        _process = process;
    }

    /// <summary>kill -9, and waits until the kernel has taken it away.</summary>
    public async Task KillAsync()
    {
        if (_process is null) return;
        if (!_process.HasExited) _process.Kill(entireProcessTree: true);
        await _process.WaitForExitAsync();
    }

    public void Dispose()
    {
        if (IsRunning) _process!.Kill(entireProcessTree: true);
        _process?.WaitForExit();
        _process?.Dispose();
    }

    private void Log(string? line)
    {
        if (line is null) return;
        lock (_gate) File.AppendAllText(LogPath, line + "\n");
    }
}
