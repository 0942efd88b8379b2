using System.Text.Json;
using System.Text.Json.Nodes;
using Xunit;

namespace RaftMirror.Integration.Tests.Harness;

/// <summary>What a call of the command line said.</summary>
internal sealed class CliResult(ProcessResult process)
{
    public int ExitCode => process.ExitCode;

    public string Output => process.Output;

    public string Error => process.Error;

    public TimeSpan Elapsed => process.Elapsed;

    /// <summary>What it printed on stdout.</summary>
    public JsonNode Json => Parse(process.Output);

    /// <summary>What it printed, one JSON value a line.</summary>
    public IReadOnlyList<JsonNode> JsonLines =>
        [.. process.Output.Split('\n', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries).Select(Parse)];

    /// <summary>Fails the test unless the exit code is the one expected.</summary>
    public CliResult Expect(int exitCode = 0)
    {
        Assert.True(ExitCode == exitCode, $"exit code {exitCode} was expected: {process}");
        return this;
    }

    public override string ToString() => process.ToString();

    private JsonNode Parse(string text)
    {
        try
        {
            return JsonNode.Parse(text) ?? throw new InvalidDataException($"null was printed: {process}");
        }
        catch (JsonException failure)
        {
            throw new InvalidDataException($"no JSON: {failure.Message} {process}", failure);
        }
    }
}

/// <summary>Calls that are under way.</summary>
internal static class CliResultTasks
{
    /// <summary>Waits, and fails the test unless the exit code is the one expected.</summary>
    public static async Task<CliResult> Expect(this Task<CliResult> call, int exitCode = 0) => (await call).Expect(exitCode);
}
