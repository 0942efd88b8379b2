using System.CommandLine;
using RaftMirror.Cli.CommandLine;
using RaftMirror.Cli.Rendering;
using RaftMirror.Contracts;
using RaftMirror.Contracts.Client;
using RaftMirror.Node.Hosting;

namespace RaftMirror.Cli.Verbs;

/// <summary>Runs a node until the token is cancelled: the daemon, which <c>node run</c> starts.</summary>
internal delegate Task<bool> RunNode(NodeRunOptions options, CancellationToken cancellationToken);

/// <summary>The command line: verbs, global options, and how failures end.</summary>
internal sealed partial class CommandTree
{
    private readonly Terminal _terminal;
    private readonly RunNode _runNode;
    private readonly IReadOnlyList<string> _args;
    private readonly RootCommand _root = new("A clustered mirror: several nodes share disks and serve mirrored volumes by NBD.");

    private readonly Option<string> _node = new("--node")
    {
        HelpName = "URL[,URL…]",
        Description = $"Nodes to ask, in turn: HOST:PORT, http://HOST:PORT or unix:PATH. Else {NodeAddress.EnvironmentVariable}, else {NodeAddress.DefaultSocket}.",
        Recursive = true,
    };

    private readonly Option<string> _output = new("--output", "-o")
    {
        HelpName = "text|json|jsonl",
        Description = "How results are printed.",
        Recursive = true,
    };

    private readonly Option<string> _requestId = new("--request-id")
    {
        HelpName = "UUID",
        Description = "UUIDv7 of an earlier attempt: the command is carried out at most once.",
        Recursive = true,
    };

    private readonly Option<bool> _dryRun = new("--dry-run") { Description = "Check everything, change nothing.", Recursive = true };

    private readonly Option<string> _timeout = new("--timeout")
    {
        HelpName = "TIME",
        Description = "How long to try: 500ms, 30s, 2m. Default 30s.",
        Recursive = true,
    };

    private CommandTree(Terminal terminal, RunNode runNode, IReadOnlyList<string> args)
    {
        _terminal = terminal;
        _runNode = runNode;
        _args = args;
        foreach (var option in (Option[])[_node, _output, _requestId, _dryRun, _timeout]) _root.Options.Add(option);
        AddDemo();
        AddNode();
        AddSet();
        AddDisk();
        AddMirror();
        AddExport();
        AddOwner();
        AddStatus();
        AddEvents();
        AddTraces();
        AddRaft();
        AddVersion();
    }

    /// <summary>Parses and runs one command line.</summary>
    /// <returns>The exit code.</returns>
    public static async Task<ExitCode> RunAsync(
        IReadOnlyList<string> args, Terminal terminal, RunNode runNode, CancellationToken cancellationToken)
    {
        var tree = new CommandTree(terminal, runNode, args);
        var isJson = HasJson(args);
        try
        {
            return await tree.InvokeAsync(cancellationToken);
        }
        catch (CliFailure failure)
        {
            FailureWriter.Write(terminal, failure, isJson, args);
            return failure.ExitCode;
        }
        catch (ApiException answered)
        {
            var failure = CliFailure.From(answered);
            FailureWriter.Write(terminal, failure, isJson, args);
            return failure.ExitCode;
        }
        catch (OutputFailure failure)
        {
            // Commands that change something say themselves what they had changed.
            FailureWriter.Write(terminal, CliFailure.OfOutput(failure, "no"), isJson, args);
            return ExitCode.OutputFailed;
        }
        catch (OperationCanceledException) when (cancellationToken.IsCancellationRequested)
        {
            return ExitCode.Interrupted;
        }
        catch (Exception failure)
        {
            FailureWriter.Write(terminal, FailureWriter.Bug(failure), isJson, args);
            return ExitCode.InternalError;
        }
    }

    private async Task<ExitCode> InvokeAsync(CancellationToken cancellationToken)
    {
        var parsed = _root.Parse([.. _args], new ParserConfiguration { EnablePosixBundling = false });
        if (parsed.Errors.Count > 0 && !WantsHelp(parsed)) throw UsageOf(parsed);
        return (ExitCode)await parsed.InvokeAsync(
            new InvocationConfiguration
            {
                Output = _terminal.Out,
                Error = _terminal.Error,
                EnableDefaultExceptionHandler = false,
                ProcessTerminationTimeout = null, // Program turns signals into the token; a node needs its time to stop.
            },
            cancellationToken);
    }

    private static bool WantsHelp(ParseResult parsed) =>
        parsed.Tokens.Any(token => token.Value is "--help" or "-h" or "-?");

    private static CliFailure UsageOf(ParseResult parsed)
    {
        var command = parsed.CommandResult.Command;
        var path = PathOf(parsed);
        var unknown = parsed.UnmatchedTokens.Count > 0 ? parsed.UnmatchedTokens[0] : null;
        var help = $"See: {path} --help";
        if (unknown is null) return CliFailure.Usage(string.Join(" ", parsed.Errors.Select(error => error.Message)), help);

        var isOption = unknown.StartsWith('-');
        var known = isOption
            ? command.Options.SelectMany(option => option.Aliases.Append(option.Name))
                .Concat(parsed.RootCommandResult.Command.Options.Where(option => option.Recursive).Select(option => option.Name))
            : command.Subcommands.Select(sub => sub.Name);
        var nearest = Suggestions.Nearest(unknown, known);
        var what = isOption || command.Subcommands.Count == 0
            ? $"'{path}' does not know '{unknown}'."
            : $"'{unknown}' is not a command of '{path}'.";
        return CliFailure.Usage(what, nearest is null ? help : $"Did you mean '{nearest}'? {help}");
    }

    private static string PathOf(ParseResult parsed)
    {
        var names = new List<string>();
        for (System.CommandLine.Parsing.SymbolResult? result = parsed.CommandResult; result is not null; result = result.Parent)
        {
            if (result is System.CommandLine.Parsing.CommandResult { Command: not RootCommand } command) names.Insert(0, command.Command.Name);
        }

        return string.Join(' ', names.Prepend("raftmirror"));
    }

    private static bool HasJson(IReadOnlyList<string> args)
    {
        for (var i = 0; i < args.Count; i++)
        {
            if (args[i] is "-o=json" or "-o=jsonl" or "--output=json" or "--output=jsonl" or "-ojson") return true;
            if (args[i] is "-o" or "--output" && i + 1 < args.Count && args[i + 1] is "json" or "jsonl") return true;
        }

        return false;
    }

    private Command Add(Command parent, Command command, Func<ParseResult, CliContext, CancellationToken, Task<ExitCode>> action)
    {
        command.SetAction(async (parsed, token) => (int)await action(parsed, ContextOf(parsed), token));
        parent.Subcommands.Add(command);
        return command;
    }

    private Command AddGroup(string name, string description)
    {
        var command = new Command(name, description);
        _root.Subcommands.Add(command);
        return command;
    }

    private CliContext ContextOf(ParseResult parsed)
    {
        var format = parsed.GetValue(_output) is { } text
            ? Arguments.Choice(text, "-o", ("text", OutputFormat.Text), ("json", OutputFormat.Json), ("jsonl", OutputFormat.Jsonl))
            : OutputFormat.Text;
        var requestId = Guid.Empty;
        if (parsed.GetValue(_requestId) is { } idText && (!Guid.TryParse(idText, out requestId) || !RequestIds.IsValid(requestId)))
            throw CliFailure.Usage($"--request-id: '{idText}' is not a UUIDv7.", "Use the id that the earlier attempt printed.");
        if (requestId != Guid.Empty && PathOf(parsed) is var path && path.StartsWith("raftmirror raft ", StringComparison.Ordinal))
            throw CliFailure.Usage($"{path} takes no --request-id: it says what shall be, so a repeat changes nothing.", "Leave the option away.");
        TimeSpan? timeout = null;
        if (parsed.GetValue(_timeout) is { } timeText)
        {
            if (!Durations.TryParse(timeText, out var time) || time <= TimeSpan.Zero)
                throw CliFailure.Usage($"--timeout: '{timeText}' is not a duration.", "Write 500ms, 30s or 2m.");
            timeout = time;
        }

        var nodes = parsed.GetValue(_node) ?? Environment.GetEnvironmentVariable(NodeAddress.EnvironmentVariable);
        if (string.IsNullOrEmpty(nodes)) nodes = "unix:" + NodeAddress.DefaultSocket;
        if (NodeAddress.TryParseList(nodes, out var addresses) is { } error) throw CliFailure.Usage("--node: " + error);
        return new CliContext(_terminal, format, addresses, requestId, parsed.GetValue(_dryRun), timeout);
    }
}
