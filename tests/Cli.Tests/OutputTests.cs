using RaftMirror.Cli.CommandLine;
using RaftMirror.Cli.Rendering;
using RaftMirror.Cli.Verbs;
using RaftMirror.Primitives;
using Xunit;

namespace RaftMirror.Cli.Tests;

/// <summary>Stdout that is full, closed or broken: an exit code of its own, and the truth about what was applied.</summary>
public sealed class OutputTests
{
    [Theory]
    [InlineData("version", "no")]
    [InlineData("status", "no")]
    [InlineData("status -o json", "no")]
    [InlineData("--help", "no")]
    [InlineData("set create s --nodes a", "yes")]
    public async Task Run_StdoutFull_SaysSoAndWhetherAnythingWasApplied(string line, string applied)
    {
        await using var server = await new FakeNode("a").ServeAsync();
        using var full = new StreamWriter(new ResultStream(new FullStream())) { AutoFlush = true };
        var error = new StringWriter();
        var code = await CommandTree.RunAsync(
            [.. line.Split(' '), "--node", server.Endpoint.ToString()], new Terminal(full, error, false, false, true),
            (_, _) => Task.FromResult(true), CancellationToken.None);
        Assert.Equal((ExitCode.OutputFailed, 11), (code, (int)code));
        Assert.Contains("No space left on device", error.ToString(), StringComparison.Ordinal);
        Assert.Contains(line.Contains("json", StringComparison.Ordinal) ? $"\"applied\":\"{applied}\"" : $"applied: {applied}", error.ToString(), StringComparison.Ordinal);
    }

    [Fact]
    public void ResultStream_Closed_Throws()
    {
        using var closed = new ResultStream(null);
        Assert.Contains("stdout is closed", Assert.Throws<OutputFailure>(() => closed.Write("x"u8)).Message, StringComparison.Ordinal);
    }

    [Fact] // Where errors go is itself in error: the exit code is what is left.
    public void QuietStream_FullOrClosed_SaysNothing()
    {
        using var closed = new QuietStream(null);
        closed.Write("x"u8);
        using var full = new QuietStream(new FullStream());
        full.Write("x"u8);
    }

    private sealed class FullStream : WriteOnlyStream
    {
        public override void Write(ReadOnlySpan<byte> buffer) => throw new IOException("No space left on device");
    }
}
