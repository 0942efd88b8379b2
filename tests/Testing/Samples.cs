using System.Collections.Immutable;
using System.Text.Json;
using RaftMirror.Contracts;
using RaftMirror.ControlPlane.Model;
using RaftMirror.Node.Http;
using RaftMirror.Node.Status;
using RaftMirror.Node.Telemetry;

namespace RaftMirror.Testing;

/// <summary>States to render.</summary>
internal static class Samples
{
    private static readonly Guid Id = Guid.Parse("0190f3a4-1111-7222-8333-444455556666");

    public static StateView View(string answeredBy = "a", Func<VolumeState, VolumeState>? change = null, LiveFigures? live = null)
    {
        var volume = Volume();
        if (change is not null) volume = change(volume);
        var set = new SetState(
            "demo", Id, 5, 40, 1, 1, 16, 64 << 20, FencingKind.Lease, "a",
            Map(Member("a", 0), Member("b", 1), Member("c", 2)),
            Map(Disk("d0"), Disk("d1")),
            OrdinalMap.Empty<VolumeState>().Add(volume.Name, volume), 2);
        var state = ClusterState.Empty with
        {
            Name = "demo",
            Id = Id,
            Index = 41,
            Nodes = OrdinalMap.Empty<NodeState>().Add("a", Node("a", 1)).Add("b", Node("b", 2)).Add("c", Node("c", 3)),
            Sets = OrdinalMap.Empty<SetState>().Add("demo", set),
        };
        return new StateView(state, 3, "a", answeredBy, ReadConsistency.Linearizable, live ?? Live(null));
    }

    public static LiveFigures Live(ResyncLive? resync, long? stale = null) => new(
        new Dictionary<string, NodeLive>
        {
            ["a"] = new(true, 0, 1),
            ["b"] = new(true, 0, 0),
            ["c"] = new(true, 2, 0),
        },
        new Dictionary<string, VolumeLive> { ["demo/d10"] = new(3, stale, 1, resync) },
        3520);

    public static VolumeState Volume() => new(
        1, "d10", 128 << 20, 1 << 20, RecoveryMode.Log, WriterMode.One, ReadPolicy.RoundRobin, WriteMode.Parallel, 1,
        [Leg("d10-0", "d0", SubmirrorStatusOkay), Leg("d10-1", "d1", SubmirrorStatusOkay)],
        new OwnerState("a", 7, 4), null, null, null, []);

    public static SubmirrorState Leg(string name, string disk, LegState status) =>
        new(name, status, [new ExtentState(disk, 64 << 20, 0, 128 << 20)]);

    private const LegState SubmirrorStatusOkay = LegState.Okay;

    private static NodeState Node(string name, ushort id) => new(
        name, id, 7, ControlPlane.Model.NodeStatus.Up, 0, 1, true, $"127.0.0.1:1000{id}", $"127.0.0.1:2000{id}", $"127.0.0.1:3000{id}", null);

    private static MemberState Member(string node, int slot) => new(node, slot, 7, false, 1, null, 0);

    private static DiskState Disk(string name) => new(
        name, Id, 256 << 20, 512, true, $"/tmp/{name}", OrdinalMap.Empty<string>(), ControlPlane.Model.DiskStatus.Okay);

    private static ImmutableSortedDictionary<string, MemberState> Map(params MemberState[] members) =>
        OrdinalMap.Empty<MemberState>().AddRange(members.Select(item => KeyValuePair.Create(item.Node, item)));

    private static ImmutableSortedDictionary<string, DiskState> Map(params DiskState[] disks) =>
        OrdinalMap.Empty<DiskState>().AddRange(disks.Select(item => KeyValuePair.Create(item.Name, item)));
}
