using System.CommandLine;
using System.Diagnostics;
using RaftMirror.Cli.CommandLine;
using RaftMirror.Cli.Rendering;
using RaftMirror.Contracts;

namespace RaftMirror.Cli.Verbs;

/// <summary>The replicated log of a running cluster: members, leadership, entries, snapshots.</summary>
internal sealed partial class CommandTree
{
    private static readonly TimeSpan CatchUpTimeout = TimeSpan.FromMinutes(2);
    private static readonly TimeSpan CatchUpPause = TimeSpan.FromMilliseconds(250);

    private void AddRaft()
    {
        var group = AddGroup("raft", "The replicated log: who takes part, what stands in it, its files.");
        AddRaftReads(group);
        AddRaftChanges(group);
        AddRaftOffline(group);
    }

    private void AddRaftReads(Command group)
    {
        Add(group, new Command("peers", "Lists the members and how far they are."), async (_, context, token) =>
        {
            using var client = context.Connect();
            var document = await client.PeersAsync(token);
            if (context.IsJson) context.WriteJson(document, ApiJson.Indented.RaftPeersDocument);
            else RaftRenderer.WritePeers(context.Terminal, document);
            return ExitCode.Ok;
        });
        var from = new Option<ulong>("--from") { HelpName = "INDEX", Description = "First entry; else the last ones." };
        var count = new Option<int>("--count") { HelpName = "N", DefaultValueFactory = _ => 20, Description = "Most entries to list, up to 10000." };
        Add(group, new Command("log", "Lists entries of the log as the node asked has it, committed or not.") { from, count }, async (parsed, context, token) =>
        {
            var most = parsed.GetValue(count);
            if (most is < 1 or > 10_000) throw CliFailure.Usage($"--count: {most} is not from 1 to 10000.");
            using var client = context.Connect();
            var document = await client.RaftLogAsync(parsed.GetValue(from), most, token);
            if (context.IsJson) context.WriteJson(document, ApiJson.Indented.RaftLogDocument);
            else RaftRenderer.WriteLog(context.Terminal, document);
            return ExitCode.Ok;
        });
        var snapshots = new Command("snapshot", "Snapshots of the state.");
        group.Subcommands.Add(snapshots);
        Add(snapshots, new Command("list", "Lists the snapshots on every node that answers."), async (_, context, token) =>
        {
            using var client = context.Connect();
            var document = await client.SnapshotsAsync(token);
            if (context.IsJson) context.WriteJson(document, ApiJson.Indented.RaftSnapshotsDocument);
            else RaftRenderer.WriteSnapshots(context.Terminal, document);
            return ExitCode.Ok;
        });
    }

    private void AddRaftChanges(Command group)
    {
        var to = new Option<string>("--to") { HelpName = "NODE", Description = "Who shall lead; else the best follower." };
        Add(group, new Command("transfer", "Hands leadership over.") { to }, async (parsed, context, token) =>
        {
            var node = parsed.GetValue(to) is { } text ? Arguments.Name(text, "node") : null;
            if (context.IsDryRun) throw CliFailure.Usage("raft transfer has no --dry-run: it commits nothing.");
            using var client = context.Connect();
            context.WriteResult(
                await client.TransferLeadershipAsync(node, token),
                result => result.Message.Length > 0 ? result.Message : $"leadership handed over{(node is null ? "" : " to " + node)}");
            return ExitCode.Ok;
        });

        var peer = new Option<string>("--peer") { HelpName = "HOST:PORT", Required = true, Description = "Where the new node listens for the others." };
        var learner = new Option<bool>("--learner") { Description = "Return at once and leave it a learner; else wait until it has caught up, and let it vote." };
        var addPriority = PriorityOption();
        var added = NodeArgument();
        Add(group, new Command("add", "Expects a new node, under a number of its own; start it with node run --join.") { added, peer, learner, addPriority },
            async (parsed, context, token) =>
            {
                var name = Arguments.Name(parsed.GetRequiredValue(added), "node");
                var request = new MemberRequest(
                    MemberActions.Add, name, PeerText(parsed.GetRequiredValue(peer)), Priority(parsed.GetValue(addPriority)), context.IsDryRun);
                var result = await ChangeAsync(context, request, token);
                if (parsed.GetValue(learner) || context.IsDryRun)
                {
                    context.WriteResult(result, done => $"{done.Message}; next: raftmirror node run --name {name} --peer {request.Peer} --join HOST:PORT …, then raft promote {name}");
                    return ExitCode.Ok;
                }

                context.Terminal.Error.WriteLine($"{result.Message}; waiting until it runs and has caught up (raftmirror node run --name {name} --peer {request.Peer} --join HOST:PORT …)");
                try
                {
                    return await PromoteAsync(context, name, token);
                }
                catch (ApiException failure) when (failure.Problem.Applied == "no")
                {
                    throw CliFailure.FromProblem(failure.Problem with { Applied = "yes", Detail = $"{name} is a member now, but only a learner. {failure.Problem.Detail}" });
                }
            });
        AddMemberVerb(group, "promote", "Lets a learner vote, once it has caught up.", PromoteAsync);
        AddMemberVerb(group, "demote", "Makes a voter a learner.", (context, name, token) => ChangeAndWriteAsync(context, MemberActions.Demote, name, token));
        AddMemberVerb(group, "remove", "Takes a node out for good; its number is never given again.",
            (context, name, token) => ChangeAndWriteAsync(context, MemberActions.Remove, name, token));

        var address = new Option<string>("--address") { HelpName = "HOST:PORT", Description = "Where the others reach it from now on." };
        var priority = PriorityOption();
        var set = NodeArgument();
        Add(group, new Command("set", "Changes a member's address or priority.") { set, address, priority }, async (parsed, context, token) =>
        {
            var name = Arguments.Name(parsed.GetRequiredValue(set), "node");
            var where = parsed.GetValue(address) is { } text ? PeerText(text) : null;
            var rank = Priority(parsed.GetValue(priority));
            if (where is null && rank is null) throw CliFailure.Usage("raft set: nothing to change.", "Give --address, --priority or both.");
            var result = await ChangeAsync(context, new MemberRequest(MemberActions.Set, name, where, rank, context.IsDryRun), token);
            context.WriteResult(result, done => done.Message);
            return ExitCode.Ok;
        });

        var source = new Option<string>("--from") { HelpName = "NODE", Description = "Whose state counts; else the leader's." };
        var reseeded = NodeArgument();
        Add(group, new Command("reseed", "Gives a node that is quarantined, outdated or in conflict another's state; it starts anew.") { reseeded, source }, async (parsed, context, token) =>
        {
            var name = Arguments.Name(parsed.GetRequiredValue(reseeded), "node");
            var other = parsed.GetValue(source) is { } text ? Arguments.Name(text, "node") : null;
            if (context.IsDryRun) throw CliFailure.Usage("raft reseed has no --dry-run: see raft peers for who needs it.");
            using var client = context.Connect();
            context.WriteResult(
                await client.ReseedAsync(new ReseedBody(name, other, TimeoutMs(context)), token), result => result.Message);
            return ExitCode.Ok;
        });
    }

    private void AddMemberVerb(
        Command group, string verb, string description, Func<CliContext, string, CancellationToken, Task<ExitCode>> action)
    {
        var node = NodeArgument();
        Add(group, new Command(verb, description) { node }, (parsed, context, token) =>
            action(context, Arguments.Name(parsed.GetRequiredValue(node), "node"), token));
    }

    private static Argument<string> NodeArgument() => new("NODE") { Description = "Its name." };

    private static Option<int?> PriorityOption() =>
        new("--priority") { HelpName = "0-255", Description = "Leadership goes to the highest that is caught up; 0 leads only if nobody else can. Default 100." };

    private static int? Priority(int? value) =>
        value is < 0 or > 255 ? throw CliFailure.Usage($"--priority: {value} is not from 0 to 255.") : value;

    private static string PeerText(string text) => HostPort.TryParse(text, out var address) is { } error
        ? throw CliFailure.Usage(error)
        : address.Port == 0 ? throw CliFailure.Usage($"'{text}' names no port.") : address.ToString();

    private static int TimeoutMs(CliContext context) =>
        (int)Math.Clamp((context.Timeout ?? TimeSpan.FromSeconds(30)).TotalMilliseconds, 1, 600_000);

    private static async Task<ApiResult> ChangeAsync(CliContext context, MemberRequest request, CancellationToken token)
    {
        using var client = context.Connect();
        return await client.ChangeMembersAsync(request with { TimeoutMs = TimeoutMs(context) }, token);
    }

    private static async Task<ExitCode> ChangeAndWriteAsync(CliContext context, string action, string name, CancellationToken token)
    {
        context.WriteResult(
            await ChangeAsync(context, new MemberRequest(action, name, DryRun: context.IsDryRun), token), result => result.Message);
        return ExitCode.Ok;
    }

    /// <summary>A learner that has not caught up yet is waited for.</summary>
    private static async Task<ExitCode> PromoteAsync(CliContext context, string name, CancellationToken token)
    {
        var timeout = context.Timeout ?? CatchUpTimeout;
        var clock = Stopwatch.StartNew();
        while (true)
        {
            try
            {
                return await ChangeAndWriteAsync(context, MemberActions.Promote, name, token);
            }
            catch (ApiException early) when (early.Problem.Code == "notCaughtUp")
            {
                if (clock.Elapsed + CatchUpPause >= timeout)
                    throw new CliFailure(ExitCode.WaitTimedOut, early.Problem with { Title = "Waited in vain" });
                await Task.Delay(CatchUpPause, token);
            }
        }
    }
}
