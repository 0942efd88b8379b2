using System.Collections.Concurrent;
using Microsoft.Extensions.Logging;
using RaftMirror.Consensus;
using RaftMirror.Consensus.Model;
using RaftMirror.Consensus.Node;
using RaftMirror.Contracts;
using RaftMirror.ControlPlane;
using RaftMirror.ControlPlane.Commands;
using RaftMirror.ControlPlane.Leases;
using RaftMirror.DataPlane.Mirroring.Core;
using RaftMirror.DataPlane.Mirroring.Shell;
using RaftMirror.DataPlane.Nbd.Server;
using RaftMirror.Node.Clocks;
using RaftMirror.Node.Commands;
using RaftMirror.Node.Disks;
using RaftMirror.Node.Http;
using RaftMirror.Node.Leases;
using RaftMirror.Node.Membership;
using RaftMirror.Node.Peers;
using RaftMirror.Node.Sets;
using RaftMirror.Node.State;
using RaftMirror.Node.Status;
using RaftMirror.Node.Telemetry;
using RaftMirror.Primitives;

namespace RaftMirror.Node.Hosting;

/// <summary>One incarnation of a node: the composition of both engines. The only place that knows all of them.</summary>
internal sealed partial class NodeRun : IAsyncDisposable
{
    private static readonly TimeSpan CommandLimit = TimeSpan.FromSeconds(20);
    private static readonly TimeSpan StopLimit = TimeSpan.FromSeconds(10);
    private static readonly TimeSpan StopNodeLimit = TimeSpan.FromSeconds(5);
    private static readonly TimeSpan LateLabelLimit = TimeSpan.FromSeconds(1); // The closing beat has waited for each disk before.
    private static readonly TimeSpan ProofLimit = TimeSpan.FromSeconds(2);

    private readonly CancellationTokenSource _stopping = new();
    private readonly TaskCompletionSource<string> _ended = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly List<Task> _loops = [];
    private readonly ConcurrentDictionary<string, LegFailures> _failures = new(StringComparer.Ordinal);
    private readonly ILogger _logger;
    private readonly NodeRunOptions _options;
    private readonly NodeDirectory _directory;
    private readonly ServiceBar _standing = new();
    private readonly ControlPlaneMachine _machine;
    private readonly StateFeed _feed;
    private readonly RaftNode _raft;
    private readonly NodeIdentity _self;
    private readonly PeerClient _peers;
    private readonly CommandService _commands;
    private readonly ClockService _clocks;
    private readonly LeaseService _leases;
    private readonly PeerLinks _links;
    private readonly SetAgents _agents;
    private readonly NodeExports _exports;
    private readonly NodeDisks _disks;
    private readonly DiskWitnesses _witnesses;
    private readonly SetStamps _stamps;
    private readonly SetResources _resources;
    private readonly MembershipService _members;
    private readonly NodeApi _api;
    private readonly DescriptorTiers _tiers;
    private readonly ApiDoor _door;
    private readonly ResourceWatch _watch;
    private NbdServer? _nbd;
    private ApiServer? _http;

    private NodeRun(
        NodeRunOptions options, NodeDirectory directory, ControlPlaneMachine machine, StateFeed feed, RaftNode raft, SpanRing spans,
        DescriptorTiers tiers, ILogger logger)
    {
        _tiers = tiers;
        _door = new ApiDoor(descriptorsBelow: tiers.HttpBelow, logger: logger);
        _watch = new ResourceWatch(options.Name, options.DataDirectory, tiers, raft, _door, () => _nbd, HasRoomAsync, logger);
        _options = options;
        _logger = logger;
        _directory = directory;
        _machine = machine;
        _feed = feed;
        _raft = raft;
        _self = new NodeIdentity(options.Name, directory.Self, raft.Incarnation, raft.StartId);
        _peers = new PeerClient(_raft, _directory);
        var proof = new ProofOfSameness(_self, (node, request, token) => _peers.CallAsync(
            node, PeerMethods.ProveDisk, request, DaemonJson.Default.ProofRequest, DaemonJson.Default.ProofReply, ProofLimit, token));
        _disks = new NodeDisks(_self, _feed, async token => await _raft.ReadBarrierAsync(token), proof, new DataPlane.Metadata.DiskFinder(options.DiskDirectories), _logger);
        _witnesses = new DiskWitnesses(_raft, _feed, _disks, _logger);
        _disks.Heard = _witnesses.Heard;
        _resources = new SetResources(_disks, _logger);
        _commands = new CommandService(
            _self, _raft, _feed, _peers, _directory, new DiskAdmission(_self, _peers), _standing, () => _clocks!,
            () => _watch.LogShortage);
        _clocks = new ClockService(
            _self, _raft, _feed, _peers, _directory, _raft.AvoidLeaders, _commands.ProposeAsLeaderAsync, _logger);
        var leaseMs = (long)options.Lease.TotalMilliseconds;
        var times = new LeaseOptions(
            leaseMs,
            RenewMs: leaseMs / 4,
            WorstDeviceMs: (long)options.WorstCompletion.TotalMilliseconds,
            MarginMs: (long)options.Margin.TotalMilliseconds,
            SuspectAfterMs: leaseMs * 3 / 4);
        var datagrams = new PeerDatagrams(_raft, _directory, _logger);
        _exports = new NodeExports(
            _self, _feed, (set, name) => _agents!.Find(set)?.DataPlane.Look(name), () => _standing.Barred, _raft.ReadBarrierAsync);
        _agents = new SetAgents(_self, _feed, (set, transferSpans) => PortsOf(set, transferSpans, datagrams), new MirrorOptions(), reason => _ended.TrySetResult(reason), _logger);
        _stamps = new SetStamps(_self, _feed, _disks, () => _agents.HasLease, (state, set) => _links!.MayEnter(state, set), _raft.TestimonyForDisks, (body, token) => SubmitOwn(body, null, token));
        _links = new PeerLinks(_self, _feed, _peers);
        _leases = new LeaseService(
            _self, times, _raft, _feed, _peers, _directory, _commands.ProposeAsLeaderAsync, _agents.Granted, IsBarred, _links.Unheard, _logger);
        _members = new MembershipService(_self, _raft, _feed, _peers, _directory, raft.ClusterName, raft.ClusterId, times);
        _api = new NodeApi(
            _self, _raft, _machine, _feed, _commands, _members, _peers, _directory, _standing, spans, Figures, UnreadyReasons, ReseedAsync,
            times, _clocks);

        datagrams.Register(_agents.Receive);
        _commands.Register();
        _clocks.Register();
        _leases.Register();
        _links.Register();
        _members.Register();
        _api.Register();
        _peers.Handle(PeerMethods.ProbeDisk, DaemonJson.Default.ProbeDiskRequest, DaemonJson.Default.ProbeDiskReply,
            (_, request, _) => DiskReports.AnswerAsync(_agents.Find(request.Set)?.DataPlane, request));
        var steps = new DiskSteps(async token => await _raft.ReadBarrierAsync(token), _feed, () => _raft.Status.Epoch, DiskChecks.Run);
        var leaving = new SetLeaving(
            _self, _agents, _stamps.CloseAsync,
            (set, limit, token) => LateWrites.WaitAsync(_self.Name, _feed.Current.Set(set), limit, token),
            (body, limit, client, token) => _commands.SubmitOwnAsync(body, null, limit, token, client), set => _disks.Close(set));
        _peers.Handle(PeerMethods.CheckDisk, DaemonJson.Default.DiskRequest, DaemonJson.Default.DiskReply,
            (_, request, token) => steps.RunAsync(request, token));
        _peers.Handle(PeerMethods.ProveDisk, DaemonJson.Default.ProofRequest, DaemonJson.Default.ProofReply, _disks.AnswerAsync);
        _peers.Handle(PeerMethods.CheckDelete, DaemonJson.Default.DeleteCheckRequest, DaemonJson.Default.DeleteCheckReply,
            (_, request, _) => ValueTask.FromResult(CheckDelete(request)));
        _peers.Handle(PeerMethods.LeaveSet, DaemonJson.Default.LeaveSetRequest, DaemonJson.Default.ApiResult,
            (_, request, token) => leaving.LeaveAsync(request, token));
    }

    /// <summary>Starts everything; serves once the leader grants a lease.</summary>
    /// <exception cref="IOException">A port is taken, the data directory is in use, the log cannot be read.</exception>
    public static async Task<NodeRun> StartAsync(
        NodeRunOptions options, SpanRing spans, ILoggerFactory loggers, CancellationToken cancellationToken)
    {
        var tiers = DescriptorTiers.Of(Descriptors.RaiseLimit());
        var first = await FirstStartAsync(options, cancellationToken);
        var directory = new NodeDirectory(first, options.Name);
        var machine = new ControlPlaneMachine();
        var feed = new StateFeed(machine.State);
        machine.Applied += applied => feed.Publish(applied.State);
        machine.Restored += feed.PublishRestored;
        IStateMachine replicated = options.FaultHashFrom == 0 ? machine : new WrongHash(machine, options.FaultHashFrom);
        var defaults = new RaftNodeOptions
        {
            DataDirectory = options.DataDirectory,
            Self = directory.Self,
            PeerEndpoint = options.Peer.ToEndPoint(),
            InitialMembers = first.Members.ToDictionary(member => new NodeId(member.Id), member => member.Peer),
            ClusterName = first.ClusterName ?? options.ClusterName ?? DefaultClusterName,
        };
        var raft = await RaftNode.StartAsync(
            defaults with
            {
                Tls = options.PeerTls,
                DescriptorsBelow = tiers.PeerBelow,
                MemberNames = first.Members.ToDictionary(member => new NodeId(member.Id), member => member.Name),
                JoinClusterId = first.JoinedClusterId,
                AfterIncarnation = first.AfterIncarnation,
                AsksDisks = true,
                SnapshotEntries = options.SnapshotEntries ?? defaults.SnapshotEntries,
                SegmentBytes = options.LogSegmentBytes ?? defaults.SegmentBytes,
                CheckpointEntries = options.SnapshotEntries is { } entries ? Math.Max(1, entries / 4) : defaults.CheckpointEntries,
                HeartbeatMs = (int)options.Heartbeat.TotalMilliseconds,
                ElectionTimeoutMinMs = (int)options.Election.TotalMilliseconds,
                ElectionTimeoutMaxMs = 2 * (int)options.Election.TotalMilliseconds,
            },
            replicated,
            loggers,
            cancellationToken);
        directory.Follow(raft);
        var run = new NodeRun(options, directory, machine, feed, raft, spans, tiers, loggers.CreateLogger("RaftMirror"));
        try
        {
            await run.BeginAsync(cancellationToken);
            return run;
        }
        catch
        {
            await run.DisposeAsync();
            throw;
        }
    }

    /// <summary>Waits for the end.</summary>
    /// <returns>Null when cancelled (a clean stop is wanted), else why this incarnation must be followed by another.</returns>
    /// <exception cref="ReplicatedLogFailedException">The node must not go on at all: its log cannot be kept.</exception>
    public async Task<string?> WaitAsync(CancellationToken cancellationToken)
    {
        var stopped = Task.Delay(Timeout.Infinite, cancellationToken);
        await Task.WhenAny(stopped, _ended.Task, _raft.Failure);
        if (_raft.Failure.IsCompleted) throw new ReplicatedLogFailedException(await _raft.Failure);
        return _ended.Task.IsCompleted ? await _ended.Task : null;
    }

    /// <summary>False once this incarnation has ended with something left that the others must merge.</summary>
    public bool IsClean { get; private set; } = true;

    /// <summary>Clean stop: clients go, I/O ends, marks clear, and the cluster is told, so that nothing is owed to this incarnation.</summary>
    public async ValueTask DisposeAsync()
    {
        if (_nbd is not null) await _nbd.StopAsync(StopLimit);
        var isFenced = _ended.Task.IsCompleted || IsBarred();
        // The stop tells the cluster that nothing is owed. Without proof of that this incarnation is left to be fenced and merged.
        var left = await _agents.EndAllAsync(StopLimit + StopLimit);
        if (left is null && !isFenced && _feed.Current.Node(_self.Name) is { IsLive: true } node && node.Incarnation == _self.Incarnation)
            left = await StopAsync();
        IsClean = left is null;
        if (left is not null) LogNotClean(_logger, left);

        await _stopping.CancelAsync();
        _feed.Complete();
        await Task.WhenAll(_loops.Select(Quietly));
        await _agents.DisposeAsync();
        if (_http is not null) await _http.DisposeAsync();
        _disks.Close(null);
        await _raft.DisposeAsync();
        _stopping.Dispose();
    }

    /// <summary>Closing beats, then the stop; again if this node became the last one of a set in between.</summary>
    /// <returns>What may still land on a disk, for people: then the cluster is told nothing, and fences this incarnation. Null if nothing may.</returns>
    private async Task<string?> StopAsync()
    {
        using var limit = new CancellationTokenSource(StopNodeLimit);
        ApiResult result;
        try
        {
            do
            {
                var closed = await _stamps.CloseAsync(_feed.Current.Sets.Keys, limit.Token);
                if (await LateLabelAsync() is { } late) return late;
                result = await _commands.SubmitOwnAsync(
                    new StopNode(_self.Name, _self.Incarnation, closed), null, StopNodeLimit, limit.Token);
            }
            while (result.Code == "closingBeatOwed");
        }
        catch (OperationCanceledException)
        {
            result = new ApiResult { Outcome = ApiOutcome.Unknown, Code = "noAnswer", Message = "no leader answered in time" };
        }

        LogStopped(_logger, result.Outcome.ToString(), result.Message);
        return null;
    }

    /// <summary>Labels are not the data plane's: a write of one that hangs, of an earlier beat or of the closing one, may still land.</summary>
    private async Task<string?> LateLabelAsync()
    {
        var until = Environment.TickCount64 + LateLabelLimit.TotalMilliseconds;
        foreach (var set in _feed.Current.Sets.Values.Where(set => set.Members.ContainsKey(_self.Name)))
        {
            var rest = TimeSpan.FromMilliseconds(Math.Max(0, until - Environment.TickCount64));
            if (await LateWrites.WaitAsync(_self.Name, set, rest, CancellationToken.None) is { } disk)
                return $"set '{set.Name}': a write of a label to disk '{disk}' has not come back";
        }

        return null;
    }

    private static async Task Quietly(Task loop)
    {
        try
        {
            await loop;
        }
        catch (OperationCanceledException)
        {
            // That is how loops end.
        }
    }

    private async Task BeginAsync(CancellationToken cancellationToken)
    {
        _nbd = new NbdServer(
            new LeaseOnOpen(_exports, _leases.RenewNow),
            new NbdServerOptions { OnInvariantBroken = Fatal, DescriptorsBelow = _tiers.NbdBelow },
            _logger);
        var nbd = _nbd.Listen(NbdEndpoint.Parse(_options.Nbd.ToString())).ToString();
        if (_options.NbdSocket is { } socket) nbd += "," + _nbd.Listen(NbdEndpoint.Parse($"unix:{socket}"));
        _http = await ApiServer.StartAsync(_api, _options.Api, _options.ApiSocket, cancellationToken, _door);
        var addresses = new NodeAddresses(_http.Endpoint.ToString(), _options.Peer.ToString(), nbd);
        var duties = new DutyRunner(
            _self, _raft, _feed, addresses, _raft.ClusterName, _raft.ClusterId, _resources, _disks, _stamps,
            set => _agents.Find(set)?.DataPlane, TimeSpan.FromSeconds(20), FailuresOf, SubmitOwn, IsBarred, _logger);
        Run(_agents.RunAsync(_stopping.Token));
        Run(_clocks.RunAsync(_stopping.Token));
        Run(_leases.RunAsync(_stopping.Token));
        Run(_links.RunAsync(_stopping.Token));
        Run(_watch.RunAsync(_stopping.Token));
        Run(duties.RunAsync(_stopping.Token));
        Run(WatchFencingAsync(_stopping.Token));
        Run(WatchStandingAsync(_stopping.Token));
        Run(WatchLivesAsync(_stopping.Token));
        Run(_witnesses.AskAsync(_stopping.Token));
        if (_raft.Status.Members.FirstOrDefault(member => member.Id == _self.Id) is { Address.Length: > 0 } known && known.Address != addresses.Peer)
            LogOtherAddress(_logger, known.Address, addresses.Peer, _self.Name);
        LogStarted(_logger, _self.Name, _self.Incarnation, addresses.Api, addresses.Peer, addresses.Nbd);
    }

    private void Run(Task loop)
    {
        _loops.Add(loop);
        _ = loop.ContinueWith(
            failed => Fatal(failed.Exception!.GetBaseException()),
            CancellationToken.None,
            TaskContinuationOptions.OnlyOnFaulted,
            TaskScheduler.Default);
    }

    /// <summary>Something that must always hold did not: data may not be what the code believes, so nothing more is done with it.</summary>
    private void Fatal(Exception failure)
    {
        LogFatal(_logger, failure);
        Environment.FailFast("A broken invariant stops the node.", failure);
    }

    private LegFailures FailuresOf(string set) => _failures.GetOrAdd(set, name => new LegFailures(
        name, _self, _feed, _peers, () => _agents.Find(name)?.DataPlane,
        (disk, place, token) => _disks.CanUseLostAsync(name, disk, place, () => !_agents.IsEnding(name), token),
        SubmitOwn, _logger, _stopping.Token));

    private DataPlanePorts PortsOf(string set, TransferSpans spans, PeerDatagrams datagrams)
    {
        var disks = new DiskReports(set, _self, _feed, _peers, () => _agents.Find(set)?.DataPlane, SubmitOwn, _logger, _stopping.Token);
        return new DataPlanePorts(
            _resources,
            new VolumeReports(
                set, _self, _feed, SubmitOwn, reason => _ended.TrySetResult(reason), spans, FailuresOf(set), _logger, _stopping.Token),
            datagrams.ForSet(set),
            BootTimeLeaseClock.Instance,
            Fatal)
        {
            ServiceChanged = _exports.ServiceChanged,
            Disks = disks,
        };
    }

    private async Task<ApiResult> SubmitOwn(CommandBody body, string? traceParent, CancellationToken cancellationToken) =>
        await _commands.SubmitOwnAsync(body, traceParent, CommandLimit, cancellationToken);

    /// <summary>This process may outlive its incarnation: it was paused, and the others went on.</summary>
    private async Task WatchFencingAsync(CancellationToken cancellationToken)
    {
        var state = await _feed.WaitAsync(
            cluster => cluster.Node(_self.Name) is { } node
                && ((node.Incarnation > _self.Incarnation && node.Id != _self.Id.Value)
                    || (node.Incarnation == _self.Incarnation && node.Status is ControlPlane.Model.NodeStatus.Fenced or ControlPlane.Model.NodeStatus.Down)),
            cancellationToken);
        _ended.TrySetResult($"the cluster fenced incarnation {_self.Incarnation} at index {state.Index}");
    }

    private DeleteCheckReply CheckDelete(DeleteCheckRequest request)
    {
        var name = $"{request.Set}/{request.Volume}";
        var clients = _agents.Find(request.Set)?.DataPlane.Statistics().FirstOrDefault(volume => volume.Name == name)?.Clients ?? 0;
        return clients == 0
            ? new DeleteCheckReply(true, "no clients")
            : new DeleteCheckReply(false, $"{clients} NBD client(s) connected");
    }

    private NodeFigures Figures()
    {
        var volumes = _agents.All.SelectMany(agent => agent.DataPlane.Statistics()).Select(volume => new VolumeFigures(
            volume.Name,
            volume.OpenRegions,
            volume.StaleRegions,
            volume.Clients,
            volume.Resync is { } resync
                ? new ResyncFigures(resync.Kind, resync.DoneBytes, resync.TotalBytes, resync.BytesPerSecond)
                : null)
        {
            Full = volume.Full,
            Held = volume.Held is { } held ? new HoldFigures(held.Reason, held.On, held.AgeMs, held.Requests) : null,
            Wait = volume.Wait is { } wait ? new WaitFigures(wait.Leg, wait.Disk, wait.AgeMs, volume.RequestsInFlight) : null,
        }).ToList();
        return new NodeFigures(_self.Name, volumes.Sum(volume => volume.Clients), volumes)
        {
            Barred = _standing.Barred,
            Causes = _watch.Causes(),
            HasRoom = _watch.HasRoom,
            Unheard = _links.LongApart(),
            Disks = [.. _agents.All.SelectMany(agent => agent.DataPlane.DiskStatistics().Select(disk =>
                new DiskFigures($"{agent.Set}/{disk.Disk}", disk.OldestMs, disk.Calls, disk.Phase)
                {
                    GrownToBytes = _disks.FactsOf(agent.Set, disk.Disk)?.GrownToBytes ?? 0,
                    IsPathGone = _disks.FactsOf(agent.Set, disk.Disk)?.IsPathGone ?? false,
                }))],
        };
    }

    private async Task<bool> HasRoomAsync(NodeId id, CancellationToken cancellationToken) =>
        _directory.NameOf(id) is { } name && (await _api.AskFiguresAsync(name, cancellationToken))?.HasRoom == true;

    private List<string> UnreadyReasons()
    {
        var reasons = new List<string>();
        if (_standing.Barred is { } bar) reasons.Add($"this node is {bar.Word}: {bar.Reason}");
        if (_raft.Status.Leader is null) reasons.Add("no leader is known");
        if (_raft.StartWait is { } wait) reasons.Add(wait);
        if (LivesReport.Of(_raft, _directory) is { } known) reasons.Add(known);
        if (_feed.Current.Node(_self.Name) is not { } node || node.Incarnation != _self.Incarnation) reasons.Add("not registered yet");
        else if (!node.IsLive) reasons.Add($"this node is {node.Status}");
        else
        {
            var unheard = _links.LongApart();
            reasons.AddRange(_feed.Current.Sets.Values.SelectMany(
                set => LinkCauses.Unready(set, node, unheard).Concat(MissingDiskCauses.Unready(_feed.Current, set, node))));
        }

        return reasons;
    }

    [LoggerMessage(3010, LogLevel.Information, "Node {Name}, incarnation {Incarnation}: API {Api}, peers {Peer}, NBD {Nbd}")]
    private static partial void LogStarted(ILogger logger, string name, ulong incarnation, string api, string peer, string nbd);

    [LoggerMessage(3011, LogLevel.Information, "Clean stop: {Outcome} {Message}")]
    private static partial void LogStopped(ILogger logger, string outcome, string message);

    [LoggerMessage(3013, LogLevel.Warning, "No clean stop: {Left}. The others fence this incarnation and merge what it left")]
    private static partial void LogNotClean(ILogger logger, string left);

    [LoggerMessage(3012, LogLevel.Critical, "The node stops at once")]
    private static partial void LogFatal(ILogger logger, Exception failure);
}
