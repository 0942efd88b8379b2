using System.Diagnostics;
using System.Runtime.CompilerServices;
using System.Text;

namespace RaftMirror.Integration.Tests.Harness;

/// <summary>One node: its addresses, its data directory and, while it runs, its process. Its output is kept over restarts.</summary>
internal sealed class NodeProcess(string name, string directory, int apiPort, int peerPort, int nbdPort)
{
    private const int KeptLines = 150;

    private readonly Lock _gate = new();
    private readonly Queue<string> _lines = new();
    private Process? _process;
    private StrongBox<int> _open = new(); // Streams of the process that have not ended.

    public string Name { get; } = name;

    /// <summary>The data directory; it survives restarts.</summary>
    public string Directory { get; } = directory;

    public Uri Api { get; } = new($"http://127.0.0.1:{apiPort}");

    public string Peer { get; set; } = $"127.0.0.1:{peerPort}";

    public int NbdPort { get; } = nbdPort;

    /// <summary>Path of its NBD server's Unix socket.</summary>
    public string NbdSocket { get; } = directory + ".nbd";

    /// <summary>Further options.</summary>
    public List<string> Arguments { get; } = [];

    /// <summary>A command and its arguments that run the node: prlimit, for example.</summary>
    public List<string> Prefix { get; } = [];

    /// <summary>Further variables of its process.</summary>
    public Dictionary<string, string> Environment { get; } = [];

    /// <summary>Options that say which cluster it is of; null for those of a first start together with the others.</summary>
    public IReadOnlyList<string>? Origin { get; set; }

    public bool IsRunning => _process is { HasExited: false };

    public bool IsStopped { get; private set; }

    /// <summary>Exit code of the last process, once it has ended and all that it said is in <see cref="Output"/>.</summary>
    public int? ExitCode => _process is { HasExited: true } ended && Volatile.Read(ref _open.Value) == 0 ? ended.ExitCode : null;

    /// <summary>URI of an export.</summary>
    public string NbdUri(string volume) => $"nbd://127.0.0.1:{NbdPort}/{volume}";

    /// <summary>Runs a verb of the command line against this node, with JSON output.</summary>
    public Task<CliResult> CliAsync(params string[] arguments) =>
        TestCluster.RunCliAsync([.. arguments, "--node", Api.ToString(), "-o", "json"]);

    public void Start(IReadOnlyList<string> command, IReadOnlyDictionary<string, string> environment)
    {
        if (IsRunning) throw new InvalidOperationException($"Node {Name} runs already.");
        command = [.. Prefix, .. command];
        var start = new ProcessStartInfo(command[0])
        {
            RedirectStandardOutput = true,
            RedirectStandardError = true,
            RedirectStandardInput = true,
            UseShellExecute = false,
        };
        foreach (var argument in command.Skip(1)) start.ArgumentList.Add(argument);
        start.Environment["DOTNET_EnableDiagnostics"] = "0"; // A process that is killed would leave the runtime's sockets in the temporary folder.
        foreach (var (variable, value) in environment.Concat(Environment)) start.Environment[variable] = value;
        Note($"--- start: {string.Join(' ', command)}");
        _process?.Dispose();
        var process = Process.Start(start) ?? throw new InvalidOperationException($"Node {Name} did not start.");
        process.StandardInput.Close();
        var open = new StrongBox<int>(2);
        process.OutputDataReceived += (_, line) => Take(line.Data, "out", open);
        process.ErrorDataReceived += (_, line) => Take(line.Data, "err", open);
        process.BeginOutputReadLine();
        process.BeginErrorReadLine();
        _process = process;
        _open = open;
        IsStopped = false;
    }

    /// <summary>kill -9; returns when the process is gone.</summary>
    public void Kill()
    {
        if (_process is null) return;
        Note("--- kill -9");
        if (!_process.HasExited) _process.Kill();
        _process.WaitForExit();
        IsStopped = false;
    }

    /// <summary>SIGTERM: a clean stop.</summary>
    /// <returns>Its exit code.</returns>
    public async Task<int> TerminateAsync(TimeSpan limit)
    {
        Note("--- SIGTERM");
        Signals.Send(Id, Signals.Terminate);
        await _process!.WaitForExitAsync().WaitAsync(limit);
        return _process.ExitCode;
    }

    /// <summary>SIGSTOP: from now on it does nothing, and does not know.</summary>
    /// <remarks>The signal is taken by one thread, which stops the others once it gets a processor: on a busy machine the rest goes on for a while
    /// after kill(2) has returned. So this waits until every thread has stopped.</remarks>
    public void Pause()
    {
        Note("--- SIGSTOP");
        Signals.Send(Id, Signals.Stop);
        IsStopped = true;
        if (!SpinWait.SpinUntil(IsEveryThreadStopped, TimeSpan.FromSeconds(30))) throw new TimeoutException($"Node {Name} does not stop.");
        Note("--- every thread has stopped");
    }

    private bool IsEveryThreadStopped()
    {
        try
        {
            foreach (var thread in System.IO.Directory.EnumerateDirectories($"/proc/{Id}/task"))
            {
                var stat = File.ReadAllText(Path.Combine(thread, "stat"));
                if (stat[stat.LastIndexOf(')') + 2] != 'T') return false; // The state follows the name, which may hold anything.
            }

            return true;
        }
        catch (IOException)
        {
            return false; // A thread has ended meanwhile.
        }
    }

    /// <summary>SIGCONT.</summary>
    public void Continue()
    {
        Note("--- SIGCONT");
        Signals.Send(Id, Signals.Continue);
        IsStopped = false;
    }

    /// <summary>Memory of its process that is in use now, in bytes.</summary>
    public long ResidentBytes()
    {
        var line = File.ReadLines($"/proc/{Id}/status").First(text => text.StartsWith("VmRSS:", StringComparison.Ordinal));
        return long.Parse(line.Split(' ', StringSplitOptions.RemoveEmptyEntries)[1], System.Globalization.CultureInfo.InvariantCulture) << 10;
    }

    /// <summary>What it answers to whoever asks whether it is ready.</summary>
    public async Task<(System.Net.HttpStatusCode Code, string Text)> ReadyzAsync()
    {
        using var http = new HttpClient { Timeout = TimeSpan.FromSeconds(10) };
        using var answer = await http.GetAsync(new Uri(Api, "/readyz"));
        return (answer.StatusCode, await answer.Content.ReadAsStringAsync());
    }

    /// <summary>Its output from the last note of this kind on ("start:", "SIGTERM"), as far as it is kept.</summary>
    public string OutputSince(string note) => Output() is var all ? all[all.LastIndexOf($"--- {note}", StringComparison.Ordinal)..] : "";

    /// <summary>The newest lines of its output.</summary>
    public string Output()
    {
        lock (_gate)
        {
            var text = new StringBuilder();
            foreach (var line in _lines) text.Append(line).Append('\n');
            return text.ToString();
        }
    }

    private int Id => _process is { HasExited: false } process
        ? process.Id
        : throw new InvalidOperationException($"Node {Name} does not run:\n{Output()}");

    private void Take(string? line, string stream, StrongBox<int> open)
    {
        if (line is null) Interlocked.Decrement(ref open.Value);
        else Note(line, stream);
    }

    private void Note(string line, string? stream = null)
    {
        lock (_gate)
        {
            if (_lines.Count == KeptLines) _lines.Dequeue();
            _lines.Enqueue($"{DateTime.UtcNow:HH:mm:ss.fff} {Name} {stream} {line}");
        }
    }
}
