using System.Net;
using System.Net.Sockets;
using System.Text.Json;
using RaftMirror.Cli.CommandLine;
using RaftMirror.Cli.Rendering;
using RaftMirror.Cli.Verbs;
using RaftMirror.Contracts;
using RaftMirror.Node.Hosting;
using RaftMirror.Node.Http;
using Xunit;

namespace RaftMirror.Cli.Tests;

public sealed class CommandLineTests
{
    [Theory]
    [InlineData("statsu", "status")]
    [InlineData("mirror creat", "create")]
    [InlineData("mirror create d/v --size 1M --onn x", "--on")]
    public async Task Parse_Mistyped_NamesNearestAndExits2(string line, string nearest)
    {
        var (code, output, error) = await RunAsync(line);
        Assert.Equal(ExitCode.Usage, code);
        Assert.Contains($"Did you mean '{nearest}'", error, StringComparison.Ordinal);
        Assert.Empty(output);
    }

    [Theory]
    [InlineData("mirror create d/v --size 1M")]
    [InlineData("mirror create d --size 1M --on x")]
    [InlineData("mirror create d/v --size 1000 --on x")]
    [InlineData("mirror create d/v --size 1M --on x,x")]
    [InlineData("mirror create d/v --size 1M --on x --recovery app --writers one")]
    [InlineData("mirror create d/v --size 1M --on x --region 3M")]
    [InlineData("mirror create d/v --size 1M --on x --pass 10")]
    [InlineData("set create UPPER --nodes a")]
    [InlineData("set create s --nodes a,a")]
    [InlineData("set create s --nodes a,b --max-nodes 1")]
    [InlineData("set create s --nodes a --request-id 6f9619ff-8b86-4d01-b42d-00c04fc964ff")]
    [InlineData("raft demote a --request-id 019ab2c0-0000-7000-8000-000000000000")] // Its verbs take none, and would repeat whatever it stands for.
    [InlineData("status --timeout soon")]
    [InlineData("status --node 10.0.0.1:80")]
    [InlineData("wait d --for owner=a")]
    [InlineData("wait d --for tea")]
    [InlineData("trace show xyz")]
    [InlineData("demo --nodes 2")]
    [InlineData("node run --name a --data /nosuch/x --api 0.0.0.0:1 --peer 127.0.0.1:2 --nbd 127.0.0.1:3 --cluster a=127.0.0.1:2")]
    [InlineData("node run --name a --data /nosuch/x --api 127.0.0.1:1 --peer 192.168.1.1:2 --nbd 127.0.0.1:3 --cluster a=192.168.1.1:2")]
    [InlineData("node run --name a --data /nosuch/x --api 127.0.0.1:1 --peer 127.0.0.1:2 --nbd 0.0.0.0:3 --cluster a=127.0.0.1:2")]
    [InlineData("node run --name a --data /nosuch/x --api 127.0.0.1:1 --peer 127.0.0.1:2 --nbd 127.0.0.1:3 --cluster b=127.0.0.1:2")]
    [InlineData("node run --name a --data /nosuch/x --api 127.0.0.1:1 --peer 127.0.0.1:2 --nbd 127.0.0.1:3 --cluster a=127.0.0.1:2 --peer-cert /x")]
    [InlineData(
        "node run --name a --data /nosuch/x --api 127.0.0.1:1 --peer 127.0.0.1:2 --nbd 127.0.0.1:3 --cluster a=127.0.0.1:2 "
        + "--peer-cert /nowhere --peer-key /nowhere --peer-ca /nowhere")]
    public async Task Parse_BadInput_Exits2AndAsksNobody(string line)
    {
        await using var server = await new FakeNode("a").ServeAsync();
        var full = line.Contains("--node ", StringComparison.Ordinal) ? line : $"{line} --node {server.Endpoint}";
        var (code, output, error) = await RunAsync(full);
        Assert.Equal(ExitCode.Usage, code);
        Assert.StartsWith("raftmirror: ", error, StringComparison.Ordinal);
        Assert.Empty(output);
    }

    [Fact]
    public async Task NodeRun_GoodOptions_ReachTheDaemon()
    {
        NodeRunOptions? given = null;
        var (code, _, _) = await RunAsync(
            "node run --name a --data /nosuch/x --api 127.0.0.1:1 --peer 127.0.0.1:2 --nbd 127.0.0.1:3,unix:/nosuch/x/nbd.sock "
            + "--cluster a=127.0.0.1:2,b=127.0.0.1:4 --lease-ms 1000",
            (options, _) =>
            {
                given = options;
                return Task.FromResult(true);
            });
        Assert.Equal(ExitCode.Ok, code);
        Assert.Equal(2, given!.Cluster.Count);
        Assert.Equal("/nosuch/x/nbd.sock", given.NbdSocket);
        Assert.Equal(1000, given.Lease.TotalMilliseconds);
    }

    [Fact]
    public async Task NodeRun_WithPeerCertificates_MayListenOffTheHost()
    {
        NodeRunOptions? given = null;
        var file = typeof(CommandLineTests).Assembly.Location;
        var (code, _, error) = await RunAsync(
            "node run --name a --data /nosuch/x --api 127.0.0.1:1 --peer 192.0.2.1:2 --nbd 127.0.0.1:3 --cluster a=192.0.2.1:2 "
            + $"--peer-cert {file} --peer-key {file} --peer-ca {file}",
            (options, _) =>
            {
                given = options;
                return Task.FromResult(true);
            });
        Assert.True(code == ExitCode.Ok, error);
        Assert.Equal("192.0.2.1:2", given!.Peer.ToString());
        Assert.Equal(file, given.PeerTls!.AuthorityPath);
    }

    [Fact]
    public async Task Command_NoNodeReachable_Exits6AndSaysNothingApplied()
    {
        using var nobody = Nobody();
        var (code, output, error) = await RunAsync($"set create s --nodes a --node {nobody.LocalEndPoint}");
        Assert.Equal(ExitCode.Unavailable, code);
        Assert.Contains("applied: no", error, StringComparison.Ordinal);
        Assert.Empty(output);
    }

    [Theory]
    [InlineData(RejectionKind.Usage, 2)]
    [InlineData(RejectionKind.NotFound, 3)]
    [InlineData(RejectionKind.Precondition, 4)]
    [InlineData(RejectionKind.NotAllowed, 5)]
    public async Task Command_Rejected_ExitsByKindAndShowsNodes(RejectionKind kind, int exit)
    {
        var node = new FakeNode("a")
        {
            OnSubmit = (_, _) => ValueTask.FromResult(new ApiResult
            {
                Outcome = ApiOutcome.Rejected,
                Rejection = kind,
                Code = "diskRefused",
                Message = "Disk x is refused.",
                Details = [new NodeAnswer("b", false, "not a disk")],
            }),
        };
        await using var server = await node.ServeAsync();
        var (code, _, error) = await RunAsync($"disk add s x /dev/null --node {server.Endpoint}");
        Assert.Equal(exit, (int)code);
        Assert.Contains("raftmirror: Disk x is refused.", error, StringComparison.Ordinal);
        Assert.Contains("node b: cannot: not a disk", error, StringComparison.Ordinal);
        Assert.Contains("applied: no", error, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Command_OutcomeUnknown_Exits7AndPrintsTheExactRepeat()
    {
        var node = new FakeNode("a")
        {
            OnSubmit = (_, _) => ValueTask.FromResult(new ApiResult { Outcome = ApiOutcome.Unknown, Code = "outcomeUnknown", Message = "?" }),
        };
        await using var server = await node.ServeAsync();
        var (code, _, error) = await RunAsync($"set create s --nodes a --timeout 1s --node {server.Endpoint}");
        Assert.Equal(ExitCode.OutcomeUnknown, code);
        Assert.Contains(
            $"raftmirror set create s --nodes a --timeout 1s --node {server.Endpoint} --request-id {node.Received[0].RequestId}",
            error, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Command_OutcomeUnknownAtFirst_IsRepeatedUnderTheSameId()
    {
        var tries = 0;
        var node = new FakeNode("a")
        {
            OnSubmit = (_, _) => ValueTask.FromResult(++tries == 1
                ? new ApiResult { Outcome = ApiOutcome.Unknown, Code = "outcomeUnknown", Message = "?" }
                : new ApiResult { Outcome = ApiOutcome.Applied, Index = 9 }),
        };
        await using var server = await node.ServeAsync();
        var (code, _, error) = await RunAsync($"set create s --nodes a --node {server.Endpoint}");
        Assert.True(code == ExitCode.Ok, error);
        Assert.Equal(2, node.Received.Count);
        Assert.Single(node.Received.Select(request => request.RequestId).Distinct());
    }

    [Fact]
    public async Task Command_FirstNodeDeadSecondLost_ThirdGetsTheSameId()
    {
        var lost = new FakeNode("b") { OnSubmit = (_, _) => throw new InvalidOperationException("test") };
        var good = new FakeNode("c");
        await using var lostServer = await lost.ServeAsync();
        await using var goodServer = await good.ServeAsync();
        using var nobody = Nobody();
        var id = RequestIds.New();
        var (code, output, _) = await RunAsync(
            $"set create s --nodes a --request-id {id} --node {nobody.LocalEndPoint},{lostServer.Endpoint},{goodServer.Endpoint}");
        Assert.Equal(ExitCode.Ok, code);
        Assert.Equal(id, good.Received.Single().RequestId);
        Assert.Equal(id, lost.Received.Single().RequestId);
        Assert.Contains("created disk set s", output, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Json_Error_IsOneDocumentOnStderr()
    {
        var (code, output, error) = await RunAsync("wait d --for tea -o json");
        Assert.Equal(ExitCode.Usage, code);
        Assert.Empty(output);
        using var document = JsonDocument.Parse(error);
        Assert.Equal("no", document.RootElement.GetProperty("applied").GetString());
        Assert.Equal("usage", document.RootElement.GetProperty("code").GetString());
    }

    [Fact]
    public async Task Status_Json_HasTheContractsFields()
    {
        await using var server = await new FakeNode("b").ServeAsync();
        var (code, output, _) = await RunAsync($"status -o json --node {server.Endpoint}");
        Assert.Equal(ExitCode.Ok, code);
        using var document = JsonDocument.Parse(output);
        var root = document.RootElement;
        foreach (var name in new[] { "schema", "index", "term", "leader", "answeredBy", "nodes", "disksets" }) Assert.True(root.TryGetProperty(name, out _), name);
        var set = root.GetProperty("disksets")[0];
        foreach (var name in new[] { "name", "health", "master", "fencing", "horizonMs", "nodes", "disks", "volumes" }) Assert.True(set.TryGetProperty(name, out _), name);
        var volume = set.GetProperty("volumes")[0];
        foreach (var name in new[]
        {
            "name", "kind", "recovery", "state", "sizeBytes", "regionBytes", "openRegions", "staleRegions", "owner", "submirrors", "resync",
        })
        {
            Assert.True(volume.TryGetProperty(name, out _), name);
        }

        Assert.Equal(4, volume.GetProperty("owner").GetProperty("epoch").GetInt32());
        Assert.Equal(JsonValueKind.Null, volume.GetProperty("resync").ValueKind);
    }

    [Fact] // Who is told how to connect is told the shortest time-out too: design §14.25.
    public async Task ExportShow_TellsAddressesAndTheClientTimeout()
    {
        await using var server = await new FakeNode("b").ServeAsync();
        var (code, output, _) = await RunAsync($"export show demo/d10 -o json --node {server.Endpoint}");
        Assert.Equal(ExitCode.Ok, code);
        using var document = JsonDocument.Parse(output);
        Assert.Equal(1000, document.RootElement.GetProperty("clientTimeoutMs").GetInt64());
        var addresses = document.RootElement.GetProperty("addresses").EnumerateArray().ToList();
        Assert.Equal(["a", "b", "c"], addresses.Select(address => address.GetProperty("node").GetString()));
        Assert.All(addresses, address => Assert.EndsWith("/demo/d10", address.GetProperty("uri").GetString(), StringComparison.Ordinal));
        foreach (var line in (string[])["export show demo/d10", "mirror show demo/d10", "status demo/d10"])
            Assert.Contains("at least 1000 ms", (await RunAsync($"{line} --node {server.Endpoint}")).Output, StringComparison.Ordinal);
        (_, output, _) = await RunAsync($"mirror show demo/d10 -o json --node {server.Endpoint}");
        using var status = JsonDocument.Parse(output);
        Assert.Equal(1000, status.RootElement.GetProperty("disksets")[0].GetProperty("volumes")[0].GetProperty("clientTimeoutMs").GetInt64());
    }

    [Theory]
    [InlineData("export show demo/nix", 3)]
    [InlineData("export show demo", 2)]
    [InlineData("status nix", 3)]
    [InlineData("status demo/nix", 3)]
    [InlineData("status demo/d10", 0)]
    [InlineData("status demo -c", 0)]
    [InlineData("owner show demo/d10", 0)]
    [InlineData("owner history demo/d10", 0)]
    [InlineData("submirror map demo/d10 -o json", 0)]
    [InlineData("submirror list demo/d10", 0)]
    [InlineData("mirror list", 0)]
    [InlineData("disk list demo", 0)]
    [InlineData("set list -o json", 0)]
    [InlineData("node list", 0)]
    [InlineData("raft peers", 0)]
    [InlineData("event list -o jsonl", 0)]
    [InlineData("trace list", 0)]
    [InlineData("trace show last", 3)]
    [InlineData("wait demo --for synced", 0)]
    [InlineData("wait demo/d10 --for owner=a", 0)]
    [InlineData("wait demo/d10 --for owner=b --timeout 1s", 8)]
    [InlineData("wait nix --for synced", 3)]
    public async Task Reads_ExitAsDocumented(string line, int exit)
    {
        await using var server = await new FakeNode("a").ServeAsync();
        var (code, _, error) = await RunAsync($"{line} --node {server.Endpoint}");
        Assert.True(exit == (int)code, $"{code}: {error}");
    }

    [Theory] // Were its machine running, data would be lost: the name is typed twice.
    [InlineData("node confirm-off b", 4, 0)]
    [InlineData("node confirm-off b --confirm c", 2, 0)]
    [InlineData("node confirm-off b --confirm b", 0, 1)]
    public async Task ConfirmOff_IsSentOnlyIfConfirmed(string line, int exit, int sent)
    {
        var node = new FakeNode("a");
        await using var server = await node.ServeAsync();
        var (code, output, error) = await RunAsync($"{line} --node {server.Endpoint}");
        Assert.True(exit == (int)code, $"{code}: {output}{error}");
        Assert.Equal(sent, node.Received.Count(static request => request.Type == CommandTypes.ConfirmNodeOff));
        if (code == ExitCode.Refused) Assert.Contains("--confirm b", error, StringComparison.Ordinal);
    }

    internal static async Task<(ExitCode Code, string Output, string Error)> RunAsync(string line, RunNode? runNode = null)
    {
        var output = new StringWriter { NewLine = "\n" };
        var error = new StringWriter { NewLine = "\n" };
        var code = await CommandTree.RunAsync(
            line.Split(' '), new Terminal(output, error, false, false, true), runNode ?? ((_, _) => Task.FromResult(true)), CancellationToken.None);
        return (code, output.ToString(), error.ToString());
    }

    /// <summary>An address that refuses connections for as long as it is held: bound, so that nobody else gets it, and not listening.</summary>
    private static Socket Nobody()
    {
        var socket = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        socket.Bind(new IPEndPoint(IPAddress.Loopback, 0));
        return socket;
    }
}
