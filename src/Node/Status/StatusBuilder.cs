using RaftMirror.Contracts;
using RaftMirror.ControlPlane.Model;
using RaftMirror.DataPlane.Mirroring.Core;
using DiskPhase = RaftMirror.ControlPlane.Model.DiskStatus;

namespace RaftMirror.Node.Status;

/// <summary>Computes the status document. Pure: the same view gives the same document on every node.</summary>
internal static class StatusBuilder
{
    /// <summary>A client that has connections to several nodes gives a request up no earlier than this after it was sent (design §14.25).</summary>
    private static readonly long SafeClientTimeoutMs = new MirrorOptions().SafeClientTimeoutNs / 1_000_000;

    public static StatusDocument Build(StateView view)
    {
        var state = view.State;
        return new StatusDocument
        {
            Index = state.Index,
            Term = view.Term,
            Leader = view.Leader,
            AnsweredBy = view.AnsweredBy,
            Consistency = view.Consistency == ReadConsistency.Stale ? "stale" : "linearizable",
            Cluster = state.IsBootstrapped ? state.Name : null,
            ClocksApart = view.Live.ClocksApart,
            Nodes = [.. state.Nodes.Values.Select(node => BuildNode(view, node))],
            Disksets = [.. state.Sets.Values.Select(set => BuildSet(view, set))],
        };
    }

    /// <summary>The contract's word for a node: it has no word for a node that never served; such a one is still down.</summary>
    public static string WordOf(NodeState node) => node.Status switch
    {
        // "starting": a predecessor is not yet fenced and merged, and that is what its users must know.
        NodeStatus.Starting => node.Predecessor is { Status: PredecessorStatus.Suspect } ? "suspect"
            : node.Predecessor is not null ? "fenced" : "down",
        NodeStatus.Up => "up",
        NodeStatus.Draining => "draining",
        NodeStatus.Suspect => "suspect",
        NodeStatus.Fenced => "fenced",
        _ => "down",
    };

    public static string WordOf(LegState status) => status switch
    {
        LegState.Okay => "okay",
        LegState.Attached => "attached",
        LegState.Resyncing => "resyncing",
        LegState.Maintenance => "maintenance",
        LegState.LastErred => "lastErred",
        _ => "offline",
    };

    /// <summary>The first that applies: unavailable, stale, degraded, resyncing, okay.</summary>
    /// <param name="volume">The volume.</param>
    /// <param name="isServed">Some live node has joined its set and can use its disks.</param>
    public static string VolumeState(VolumeState volume, bool isServed)
    {
        // Who cannot be read or written at all is unavailable, whatever else is wrong with it.
        if (!isServed || volume.IsDeleting || !volume.Submirrors.Any(leg => leg.IsReadable)) return "unavailable";

        // "stale" is a set without a majority of its set records; every reachable set has them in this version.
        if (volume.Submirrors.Any(leg => leg.Status is LegState.Maintenance or LegState.LastErred or LegState.Offline))
            return "degraded";
        return volume.Resync is not null || volume.Submirrors.Any(leg => leg.IsTarget) ? "resyncing" : "okay";
    }

    private static NodeReport BuildNode(StateView view, NodeState node)
    {
        var live = view.Live.Nodes.GetValueOrDefault(node.Name);
        return new NodeReport
        {
            Name = node.Name,
            State = WordOf(node),
            Role = live?.Standing == "removed" ? "none"
                : view.Leader is null ? "unknown" : view.Leader == node.Name ? "leader" : live?.Role ?? "follower",
            Voter = live?.IsVoter ?? true,
            LagEntries = live?.LagEntries,
            Incarnation = node.Incarnation,
            Api = node.Api,
            Peer = node.Peer,
            Nbd = [node.Nbd],
            NbdClients = live?.NbdClients,
            Standing = live?.Standing,
            Reason = live?.Reason,
            ClockAheadMs = live?.ClockAheadMs,
            ClockWrong = live?.ClockWrong ?? false,
            Causes = live?.Causes ?? [],
            Owns = view.State.Sets.Values.Sum(set => set.Volumes.Values.Count(volume => volume.Owner.Node == node.Name)),
        };
    }

    private static DisksetStatus BuildSet(StateView view, SetState set)
    {
        var members = set.Members.Values.Select(member => BuildMember(view.State, set, member)).ToList();
        var isServed = set.Members.Values.Any(member => IsServing(view.State, member));
        var volumes = set.Volumes.Values.OrderBy(volume => volume.Number)
            .Select(volume => BuildVolume(view, set, volume, IsServed(view.State, set, volume))).ToList();
        var causes = HealthCauses.Of(
            view.State, set, isServed, node => view.Live.Nodes.GetValueOrDefault(node)?.Standing)
            .Concat(ClockCauses.Of(view.Live, set))
            .Concat(DiskCauses.Of(set, view.Live))
            .Concat(HeldCauses.Of(set, view.Live))
            .Concat(LinkCauses.Of(view.State, set, view.Live))
            .Concat(ResourceCauses.Of(set, view.Live)).ToList();
        return new DisksetStatus
        {
            Name = set.Name,
            Health = HealthOf(set, volumes, isServed, causes.Count),
            Master = set.Master,
            Fencing = "lease",
            HorizonMs = view.Live.Lease is { } lease
                ? (int)set.Members.Keys.Max(node => lease.HorizonMsOf(view.State, node))
                : view.Live.HorizonMs,
            DeviceTimeoutMs = set.DeviceTimeoutMs,
            SafeAgainstPauses = false, // No watchdog and no storage reservation exist in this version (design §14.4).
            Nodes = members,
            Disks = [.. set.Disks.Values.Select(disk => BuildDisk(set, disk) with
            {
                OldestCallMs = (view.Live.Disks.GetValueOrDefault($"{set.Name}/{disk.Name}") ?? []).Select(here => here.OldestMs).DefaultIfEmpty().Max(),
            })],
            Volumes = volumes,
            Causes = causes,
        };
    }

    private static string HealthOf(SetState set, List<VolumeStatus> volumes, bool isServed, int causes)
    {
        if (!isServed) return set.Members.Values.Any(member => member.JoinedIncarnation != 0) ? "unavailable" : "released";
        foreach (var word in (string[])["unavailable", "stale", "degraded"])
        {
            if (volumes.Any(volume => volume.State == word)) return word;
        }

        return causes > 0 || volumes.Any(volume => volume.State == "resyncing") ? "warning" : "okay";
    }

    private static bool IsServing(ClusterState state, MemberState member) =>
        member.JoinedIncarnation != 0
        && state.Node(member.Node) is { } node && node.IsLive && node.Incarnation == member.JoinedIncarnation;

    /// <summary>Some live node has joined and can do I/O on the volume.</summary>
    private static bool IsServed(ClusterState state, SetState set, VolumeState volume) =>
        !volume.Submirrors.Any(leg => leg.IsWritable && leg.Extents.Any(extent => set.Disks[extent.Disk].Status == DiskPhase.Lost))
        && set.Members.Values.Any(member => IsServing(state, member) && Duties.CanServe(state, set, volume, member.Node));

    private static SetNodeStatus BuildMember(ClusterState state, SetState set, MemberState member)
    {
        var node = state.Node(member.Node);
        return new SetNodeStatus(
            member.Node, IsServing(state, member), node is null ? "down" : WordOf(node), member.IsMergeOwed)
        {
            Reason = node is { IsLive: true } ? MissingDiskCauses.Describe(set, member, node.Incarnation) : null,
        };
    }

    private static DiskReport BuildDisk(SetState set, DiskState disk)
    {
        var used = set.Volumes.Values.SelectMany(volume => volume.Submirrors).SelectMany(leg => leg.Extents)
            .Where(extent => extent.Disk == disk.Name).Sum(extent => extent.LengthBytes);
        return new DiskReport
        {
            Name = disk.Name,
            State = disk.Status switch
            {
                DiskPhase.Okay => "okay",
                DiskPhase.Lost => "lost",
                _ => "failed",
            },
            Reason = disk.Status == DiskPhase.Lost ? MissingDiskCauses.Describe(disk) : null,
            SizeBytes = disk.SizeBytes,
            Id = disk.Id.ToString(),
            Paths = new SortedDictionary<string, string>(
                set.Members.Keys.ToDictionary(node => node, disk.PathOn), StringComparer.Ordinal),
            FreeBytes = Math.Max(0, disk.SizeBytes - set.MetadataBytes - used),
        };
    }

    private static VolumeStatus BuildVolume(StateView view, SetState set, VolumeState volume, bool isServed)
    {
        var live = view.Live.Volumes.GetValueOrDefault($"{set.Name}/{volume.Name}");
        return new VolumeStatus
        {
            Name = volume.Name,
            Kind = "mirror",
            Recovery = volume.Recovery == RecoveryMode.App ? "app" : "log",
            Writers = volume.Writers == WriterMode.All ? "all" : "one",
            State = VolumeState(volume, isServed),
            SizeBytes = volume.SizeBytes,
            RegionBytes = volume.RegionBytes,
            OpenRegions = live?.OpenRegions,
            StaleRegions = StaleOf(volume, live),
            Owner = volume.Owner.Node is { } owner
                ? new OwnerStatus(owner, volume.Owner.Epoch) { MovingTo = volume.Transfer?.To }
                : null,
            Submirrors =
            [
                .. volume.Submirrors.Select(leg => new SubmirrorReport(
                    leg.Name, WordOf(ShownAs(volume, leg.Status)), [.. leg.Extents.Select(extent => extent.Disk).Distinct()])),
            ],
            Resync = ResyncOf(volume, live),
            Clients = live?.Clients,
            Wait = live?.Wait is { } wait ? new WaitStatus(wait.Node, wait.Leg, wait.Disk, wait.AgeMs, wait.Requests) : null,
            Held = live?.Held is { } held ? new HoldStatus(held.Node, held.Reason, held.On, held.AgeMs, held.Requests) : null,
            ClientTimeoutMs = SafeClientTimeoutMs,
            ReadPinned = volume.IsReadPinned,
            ReadPin = volume.ReadPin is { } pin
                ? new ReadPinStatus(
                    DateTimeOffset.FromUnixTimeMilliseconds(pin.SinceMs), pin.SinceIndex, pin.Node,
                    DateTimeOffset.FromUnixTimeMilliseconds(pin.CrashedAtMs), pin.CrashedAtIndex)
                : null,
        };
    }

    /// <summary>A new leg shows as resyncing while its copy runs (mirrors that wait for an owner stay "attached").</summary>
    private static LegState ShownAs(VolumeState volume, LegState status) =>
        status == LegState.Attached && volume.Resync is not null && volume.Owner.Node is not null ? LegState.Resyncing : status;

    /// <summary>The owner's count is newer than the committed one, but where nothing is owed nothing is stale.</summary>
    private static long? StaleOf(VolumeState volume, VolumeLive? live) =>
        volume.Resync is null ? 0 : Math.Min(volume.Regions, live?.StaleRegions ?? CommittedStale(volume, volume.Resync));

    private static long CommittedStale(VolumeState volume, ResyncState resync) => resync.IsEverythingOwed
        ? volume.Regions - (resync.PositionBytes / volume.RegionBytes)
        : RegionRuns.Count(resync.OwedRuns);

    private static ResyncStatus? ResyncOf(VolumeState volume, VolumeLive? live)
    {
        if (volume.Resync is not { } resync) return null;
        var left = CommittedStale(volume, resync) * volume.RegionBytes;
        var total = Math.Max(0, live?.Resync?.TotalBytes ?? (resync.IsEverythingOwed ? volume.SizeBytes : left));
        var done = live?.Resync?.DoneBytes ?? (resync.IsEverythingOwed ? resync.PositionBytes : 0);
        done = Math.Clamp(done, 0, total); // Work may be added after it was counted as done; never above 100 %.
        var rate = live?.Resync?.BytesPerSecond;
        return new ResyncStatus
        {
            Kind = live?.Resync?.Kind ?? (resync.Kind == ResyncKind.Submirror ? "submirror" : "optimized"),
            DoneBytes = done,
            TotalBytes = total,
            BytesPerSecond = rate,
            EtaSeconds = rate is > 0 ? (total - done + rate - 1) / rate : null,
            LimitedBy = live?.Resync?.LimitedBy,
        };
    }
}
