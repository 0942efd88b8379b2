using System.Text.Json;
using System.Text.Json.Serialization.Metadata;
using RaftMirror.Cli.Rendering;
using RaftMirror.Contracts;
using RaftMirror.Contracts.Client;

namespace RaftMirror.Cli.CommandLine;

/// <summary>How results are printed.</summary>
internal enum OutputFormat
{
    Text,
    Json,
    Jsonl,
}

/// <summary>What every command knows: the global options, checked, and where to write.</summary>
/// <param name="Terminal">Where to write.</param>
/// <param name="Format">How.</param>
/// <param name="Nodes">Whom to ask, in turn.</param>
/// <param name="RequestId">As given; empty if none was: the client makes one with the cluster's time then.</param>
/// <param name="IsDryRun">Change nothing.</param>
/// <param name="Timeout">How long to try, if given.</param>
internal sealed record CliContext(
    Terminal Terminal,
    OutputFormat Format,
    IReadOnlyList<NodeAddress> Nodes,
    Guid RequestId,
    bool IsDryRun,
    TimeSpan? Timeout)
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(5);
    private static readonly TimeSpan DefaultTimeout = TimeSpan.FromSeconds(30);

    public bool IsJson => Format != OutputFormat.Text;

    public static string By => $"{Environment.UserName}@{Environment.MachineName}";

    public ApiClient Connect(TimeSpan? otherwise = null) => new(Nodes, Timeout ?? otherwise ?? DefaultTimeout);

    public void WriteJson<T>(T value, JsonTypeInfo<T> type) => Terminal.Out.WriteLine(JsonSerializer.Serialize(value, type));

    /// <summary>Sends a command and prints what became of it.</summary>
    /// <param name="type">One of <see cref="CommandTypes"/>.</param>
    /// <param name="body">Operation.</param>
    /// <param name="bodyType">Its JSON.</param>
    /// <param name="done">Sentence for people if it was applied.</param>
    /// <param name="cancellationToken">Gives up.</param>
    public async Task<ExitCode> SubmitAsync<T>(
        string type, T body, JsonTypeInfo<T> bodyType, Func<ApiResult, string> done, CancellationToken cancellationToken)
    {
        using var client = Connect();
        using var patience = new CancellationTokenSource(Patience);
        using var note = IsJson ? default : patience.Token.Register(() => Terminal.Error.WriteLine(
            "raftmirror: no answer yet; nodes that find no leader are waited for (see raftmirror raft peers)"));
        var result = await client.SubmitAsync(Request(type, body, bodyType), cancellationToken);
        WriteResult(result, done);
        return ExitCode.Ok;
    }

    public CommandRequest Request<T>(string type, T body, JsonTypeInfo<T> bodyType) => new()
    {
        Type = type,
        Body = JsonSerializer.SerializeToElement(body, bodyType),
        RequestId = RequestId,
        DryRun = IsDryRun,
        By = By,
    };

    /// <summary>Prints the result of a command that changes something.</summary>
    public void WriteResult(ApiResult result, Func<ApiResult, string> done) => WriteAfter(result, () => PrintResult(result, done));

    /// <summary>Prints what came of a command that changes something: if that fails, the person must still learn whether it did.</summary>
    public static void WriteAfter(ApiResult result, Action write)
    {
        try
        {
            write();
        }
        catch (OutputFailure failure)
        {
            throw CliFailure.OfOutput(failure, result.Outcome == ApiOutcome.Applied ? "yes" : "no");
        }
    }

    private void PrintResult(ApiResult result, Func<ApiResult, string> done)
    {
        if (IsJson)
        {
            WriteJson(result, ApiJson.Indented.ApiResult);
            return;
        }

        if (result.Outcome == ApiOutcome.Checked)
        {
            Terminal.Out.WriteLine("dry run: nothing stands against it; nothing was applied");
            foreach (var answer in result.Details) Terminal.Out.WriteLine($"  node {answer.Node}: {answer.Message}");
            return;
        }

        Terminal.Out.WriteLine(done(result));
    }
}
