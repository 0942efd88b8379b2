using System.Diagnostics;
using System.Text;

namespace RaftMirror.Integration.Tests.Harness;

/// <summary>A tool that takes commands on its standard input while a test does things to the node behind it.</summary>
internal sealed class PipedTool : IAsyncDisposable
{
    private readonly Process _process;
    private readonly StringBuilder _heard = new();
    private readonly Lock _gate = new();

    private PipedTool(Process process)
    {
        _process = process;
        process.OutputDataReceived += (_, line) => Hear(line.Data);
        process.ErrorDataReceived += (_, line) => Hear(line.Data);
        process.BeginOutputReadLine();
        process.BeginErrorReadLine();
    }

    /// <summary>All that it wrote to its outputs.</summary>
    public string Heard
    {
        get
        {
            lock (_gate) return _heard.ToString();
        }
    }

    /// <summary>Starts a tool.</summary>
    public static PipedTool Start(string name, params string[] arguments)
    {
        var start = new ProcessStartInfo(Tool.Find(name)!)
        {
            RedirectStandardOutput = true,
            RedirectStandardError = true,
            RedirectStandardInput = true,
            UseShellExecute = false,
        };
        foreach (var argument in arguments) start.ArgumentList.Add(argument);
        return new PipedTool(Process.Start(start) ?? throw new InvalidOperationException($"{name} did not start."));
    }

    /// <summary>Writes a line to its input.</summary>
    public async Task SayAsync(string line)
    {
        await _process.StandardInput.WriteLineAsync(line);
        await _process.StandardInput.FlushAsync();
    }

    /// <summary>Waits until it wrote a text.</summary>
    public Task HearAsync(string text, TimeSpan limit) => Eventually.TrueAsync(
        $"the tool says '{text}'", limit, () => Task.FromResult(Heard.Contains(text, StringComparison.Ordinal)), () => Heard);

    /// <summary>Waits for its end.</summary>
    /// <returns>Its exit code.</returns>
    public async Task<int> EndAsync(TimeSpan limit)
    {
        await _process.WaitForExitAsync().WaitAsync(limit);
        return _process.ExitCode;
    }

    public ValueTask DisposeAsync()
    {
        if (!_process.HasExited) _process.Kill();
        _process.Dispose();
        return ValueTask.CompletedTask;
    }

    private void Hear(string? line)
    {
        if (line is null) return;
        lock (_gate) _heard.AppendLine(line);
    }
}
