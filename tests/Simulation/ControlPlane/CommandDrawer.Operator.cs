using System.Collections.Immutable;
using RaftMirror.ControlPlane.Commands;
using RaftMirror.ControlPlane.Model;

namespace RaftMirror.Simulation.ControlPlane;

/// <content>What operators and clients' writes ask for.</content>
internal sealed partial class CommandDrawer
{
    private CommandBody? Operator(ClusterState state)
    {
        if (state.Nodes.IsEmpty) return null;
        if (cluster.IsHealed) return Calm(state);
        if (state.Sets.IsEmpty || random.Chance(0.02)) return NewSet(state);
        var set = Pick(state.Sets.Values);
        var node = Pick(state.Nodes.Values);
        var incarnation = random.Chance(0.05) ? node.Incarnation - 1 : node.Incarnation;
        if (set.Disks.Count < 2 || random.Chance(0.04)) return NewDisk(state, set, node);
        if (set.Volumes.IsEmpty || random.Chance(0.1)) return NewMirror(state, set);
        var volume = Pick(set.Volumes.Values);
        var epoch = volume.Transfer?.Epoch ?? volume.Owner.Epoch;
        return random.Next(22) switch
        {
            20 or 21 => new LoseDisk(
                set.Name, Pick(set.Disks.Keys), DiskLossReason.Unreachable, "drawn", node.Name, incarnation, Evidence(state, set)),
            0 => new DeleteMirror(set.Name, random.Chance(0.1) ? "nosuch" : volume.Name),
            1 => new FailSubmirror(set.Name, volume.Name, $"{volume.Name}-{random.Next(3)}", node.Name, incarnation, "drawn"),
            2 => new CancelTransfer(set.Name, volume.Name, epoch, "drawn"),
            3 => new JoinSet(set.Name, node.Name, incarnation, IsByOperator: true),
            4 when random.Chance(0.3) => new SuspectNode(node.Name, incarnation, "drawn"),
            5 => new ClearSuspicion(node.Name, incarnation),
            6 => new ReleaseOwner(set.Name, volume.Name, volume.Owner.Node ?? node.Name, volume.Owner.Incarnation, epoch, []),
            8 or 9 when set.Volumes.Values.FirstOrDefault(static v => v.Recovery == RecoveryMode.App) is { } abr => Recovered(state, set, abr),
            7 => new ConfirmBarrier(set.Name, volume.Name, volume.Barriers.FirstOrDefault()?.Id ?? 1, node.Name, node.Incarnation - 1),
            _ => new MoveOwner(set.Name, volume.Name, node.Name, incarnation, random.Chance(0.5) ? TransferReason.Write : TransferReason.Planned),
        };
    }

    /// <summary>After the faults: harmless requests, so that the log goes on; at last only those that give an owner to what has none,
    /// as clients' writes would, so that it comes to rest.</summary>
    private CommandBody? Calm(ClusterState state)
    {
        var node = Pick(state.Nodes.Values);
        var withOwner = state.Sets.Values.SelectMany(static set => set.Volumes.Values.Select(volume => (set, volume))).ToList();
        if (withOwner.Count == 0 || random.Chance(0.7))
            return cluster.IsResting ? null : new ClearSuspicion(node.Name, node.Incarnation - 1); // Always refused.
        var (owned, mirror) = withOwner[random.Next(withOwner.Count)];
        return mirror.Owner.Node is null && random.Chance(0.3)
            ? new MoveOwner(owned.Name, mirror.Name, node.Name, node.Incarnation, TransferReason.Write)
            : null;
    }

    /// <summary>Sometimes the repair began before the newest crash.</summary>
    private MarkRecovered Recovered(ClusterState state, SetState set, VolumeState abr)
    {
        var asOf = abr.ReadPin is { } pin && random.Chance(0.4) ? pin.CrashedAtIndex - 1 : state.Index;
        return new MarkRecovered(set.Name, abr.Name, asOf);
    }

    private CreateSet NewSet(ClusterState state)
    {
        ImmutableArray<string> nodes = [.. state.Nodes.Keys.Where(_ => random.Chance(0.8))];
        return new CreateSet(SetNames[random.Next(SetNames.Length)], Id(), nodes, MetadataBytes: 4 << 20, MaxNodes: random.Chance(0.1) ? 1 : 8)
        {
            DeviceTimeoutMs = 100 + random.Next(600),
        };
    }

    private AddDisk NewDisk(ClusterState state, SetState set, NodeState node)
    {
        var disk = DiskNames[random.Next(DiskNames.Length)];
        return new AddDisk(set.Name, disk, Id(), 256 << 20, 512, true, node.Name, $"/disks/{set.Name}/{disk}",
            OrdinalMap.Empty<string>(), Evidence(state, set));
    }

    private CreateMirror NewMirror(ClusterState state, SetState set)
    {
        var recovery = random.Chance(0.3) ? RecoveryMode.App : RecoveryMode.Log;
        var writers = recovery == RecoveryMode.App || random.Chance(0.4) ? WriterMode.All : WriterMode.One;
        ImmutableArray<string> disks = [.. set.Disks.Keys.Where(_ => random.Chance(0.7))];
        return new CreateMirror(
            set.Name, VolumeNames[random.Next(VolumeNames.Length)], (1L + random.Next(60)) << 20, disks, recovery, writers,
            1 << (18 + random.Next(4)), (ReadPolicy)random.Next(3), (WriteMode)random.Next(2), random.Next(10),
            random.Chance(0.5) ? Pick(state.Nodes.Values).Name : null, random.Chance(0.7) ? Evidence(state, set) : null);
    }

    /// <summary>Of all joined nodes, as the leader would have collected it; sometimes one is missing or has restarted.</summary>
    private ImmutableSortedDictionary<string, ulong> Evidence(ClusterState state, SetState set)
    {
        var evidence = OrdinalMap.Empty<ulong>();
        foreach (var (name, member) in set.Members)
        {
            if (member.JoinedIncarnation != 0 && !random.Chance(0.02))
                evidence = evidence.Add(name, state.Nodes[name].Incarnation - (random.Chance(0.02) ? 1UL : 0));
        }

        return evidence;
    }

    private T Pick<T>(IEnumerable<T> from)
    {
        var list = from.ToList();
        return list[random.Next(list.Count)];
    }
}
