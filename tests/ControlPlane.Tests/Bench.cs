using System.Collections.Immutable;
using System.Text;
using System.Text.Json;
using RaftMirror.Consensus.Model;
using RaftMirror.ControlPlane.Commands;
using RaftMirror.ControlPlane.Events;
using RaftMirror.ControlPlane.Model;
using RaftMirror.ControlPlane.Snapshots;
using Xunit;

namespace RaftMirror.ControlPlane.Tests;

/// <summary>A machine with short-hand for commands.</summary>
internal sealed class Bench
{
    private long _nowMs = 1_800_000_000_000;
    private ulong _index;

    public ControlPlaneMachine Machine { get; } = new();

    public List<byte[]> Log { get; } = [];

    public ClusterState State => Machine.State;

    public ImmutableArray<EventRecord> LastEvents { get; private set; } = [];

    public Bench() => Machine.Applied += entry => LastEvents = entry.Events;

    public static Guid Id(long timeMs, ulong low)
    {
        Span<byte> bytes = stackalloc byte[16];
        for (var i = 0; i < 6; i++) bytes[i] = (byte)(timeMs >> (40 - (8 * i)));
        bytes[6] = 0x70;
        for (var i = 0; i < 8; i++) bytes[8 + i] = (byte)(low >> (56 - (8 * i)));
        bytes[8] = 0x80;
        return new Guid(bytes, bigEndian: true);
    }

    public CommandResult Do(CommandBody body, Guid? id = null, long advanceMs = 10, string? digest = null)
    {
        _nowMs += advanceMs;
        var command = CommandCodec.Encode(new CommandEnvelope(
            id ?? Id(_nowMs, _index + 1), _nowMs, "test", null, body, digest ?? RequestDigest.Of(body.GetType().Name, Element(body))));
        Log.Add(command);
        return CommandCodec.DecodeResult(Machine.Apply(new LogPosition(++_index), 1, command).Span);
    }

    /// <summary>The next commands are stamped with times after this one.</summary>
    public void AtMs(long unixMs) => _nowMs = unixMs;

    /// <summary>A command that the cluster makes itself.</summary>
    public CommandResult DoOwn(CommandBody body, Guid? id = null)
    {
        _nowMs += 10;
        var command = CommandCodec.Encode(new CommandEnvelope(id ?? Id(_nowMs, _index + 1), _nowMs, "node:a", null, body));
        Log.Add(command);
        return CommandCodec.DecodeResult(Machine.Apply(new LogPosition(++_index), 1, command).Span);
    }

    /// <summary>What a client would have asked for, to get this command.</summary>
    public static JsonElement Element(CommandBody body)
    {
        using var document = JsonDocument.Parse(CommandCodec.Encode(new CommandEnvelope(Id(1, 1), 1, "", null, body)));
        return document.RootElement.GetProperty("body").Clone();
    }

    public CommandResult Ok(CommandBody body)
    {
        var result = Do(body);
        Assert.True(result.Outcome == CommandOutcome.Applied, $"{body}: {result.Code} {result.Message}");
        return result;
    }

    public CommandResult No(CommandBody body, string code)
    {
        var before = State;
        var result = Do(body);
        Assert.Equal((CommandOutcome.Rejected, code), (result.Outcome, result.Code));
        Assert.Same(before.Sets, State.Sets);
        Assert.Same(before.Nodes, State.Nodes);
        Assert.Empty(LastEvents);
        return result;
    }

    public string[] Types => [.. LastEvents.Select(static e => e.Event.GetType().Name)];

    public string[] Json => [.. LastEvents.Select(static e => Encoding.UTF8.GetString(EventJson.Encode(e)))];

    /// <summary>Nodes a, b, c in set s with disks d1, d2, d3; joined, slots open.</summary>
    public static Bench Cluster()
    {
        var bench = new Bench();
        bench.Ok(new BootstrapCluster("test", Id(1, 1)));
        foreach (var (node, id) in new[] { ("a", (ushort)1), ("b", (ushort)2), ("c", (ushort)3) }) bench.Register(node, id, 10);
        bench.Ok(new CreateSet("s", Id(1, 2), ["a", "b", "c"]));
        foreach (var node in new[] { "a", "b", "c" }) bench.Ok(new JoinSet("s", node, 10));
        for (var i = 1; i <= 3; i++)
        {
            bench.Ok(new AddDisk("s", $"d{i}", Id(1, 10 + (ulong)i), 1L << 30, 512, true, "a", $"/disks/{i}",
                OrdinalMap.Empty<string>(), bench.Evidence("a", "b", "c")));
        }

        foreach (var node in new[] { "a", "b", "c" }) bench.Ok(new OpenSlot("s", node, 10, ["d1", "d2"]));
        return bench;
    }

    public ImmutableSortedDictionary<string, ulong> Evidence(params string[] nodes)
    {
        var map = OrdinalMap.Empty<ulong>();
        foreach (var node in nodes) map = map.Add(node, State.Nodes[node].Incarnation);
        return map;
    }

    public CommandResult Register(string node, ushort id, ulong incarnation) =>
        Ok(new RegisterNode(node, id, incarnation, "h:1", "h:2", "h:3"));

    public void Fence(string node, ulong incarnation)
    {
        var known = State.Nodes[node];
        if (known.Incarnation == incarnation && known.Status != NodeStatus.Suspect) Ok(new SuspectNode(node, incarnation, "silent"));
        Ok(new FenceNode(node, incarnation, Receipt(node, incarnation)));
    }

    public FenceReceipt Receipt(string node, ulong incarnation)
    {
        var known = State.Nodes[node];
        var since = known.Incarnation == incarnation ? known.SinceIndex : known.Predecessor!.SinceIndex;
        return new FenceReceipt("lease", "a", 1, 4000, 3520, 3000, since);
    }

    public VolumeState Volume(string name = "v") => State.Volume("s", name)!;

    /// <summary>A beat that reaches every disk that is stamped, or those named.</summary>
    public StampLabels BeatOf(string node, params string[] disks)
    {
        var set = State.Sets["s"];
        return new StampLabels(
            "s", set.Generation, node, State.Nodes[node].Incarnation, set.NextStamp!.Number, disks.Length > 0 ? [.. disks] : Stamps.DisksToStamp(set));
    }

    /// <summary>A node activates the set and so joins it.</summary>
    public void Activate(string node)
    {
        var incarnation = State.Nodes[node].Incarnation;
        var number = Ok(new StartActivation("s", node, incarnation, true)).Data!.Generation!.Value;
        Ok(new CompleteActivation("s", number, node, incarnation, Stamps.DisksToStamp(State.Sets["s"]), true));
    }

    public MergeDirtyLog MergeOf(string node, ulong slot, string by, params VolumeMarks[] marks) =>
        new("s", node, slot, by, State.Nodes[by].Incarnation, State.Index, false, null, [.. marks]);

    /// <summary>Volume v on d1 and d2, first resync done, owned by its creator.</summary>
    public Bench WithMirror(WriterMode writers = WriterMode.One, RecoveryMode recovery = RecoveryMode.Log)
    {
        Ok(new CreateMirror("s", "v", 64 << 20, ["d1", "d2"], recovery, writers, Node: "a"));
        Ok(new FinishResync("s", "v", Volume().Owner.Epoch, "a", 10, State.Index, 1, 0, 0));
        return this;
    }
}
