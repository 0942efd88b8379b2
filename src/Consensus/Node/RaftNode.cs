using System.Collections.Concurrent;
using System.Diagnostics;
using System.Net;
using System.Net.Sockets;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;
using RaftMirror.Consensus.Core;
using RaftMirror.Consensus.Model;
using RaftMirror.Consensus.Snapshots;
using RaftMirror.Consensus.Storage;
using RaftMirror.Consensus.Transport;
using RaftMirror.Primitives;

namespace RaftMirror.Consensus.Node;

/// <summary>
/// One node of the replicated log: threads and wiring around <see cref="RaftCore"/>, no decisions.
///
/// Three threads of its own. The log thread writes and flushes; what piles up during a flush is the next batch. The apply thread calls
/// the state machine and completes proposals. The loop thread takes the core when a deadline has come or much is to do; otherwise whoever
/// brings an input carries it out: one at a time has the core, and never blocks while it has it. Each peer's Raft
/// messages are read by a thread of their own; other connections run on the thread pool.
///
/// All public members are safe on any thread. After a broken invariant, a failed write or flush, or an exception from the state
/// machine the node stops by itself and <see cref="Failure"/> completes: the process must then end.
/// </summary>
public sealed partial class RaftNode : IReplicatedLog, IPeerRpc
{
    /// <summary>Largest command in bytes.</summary>
    public const int MaxCommandBytes = 1024 * 1024;

    /// <summary>In the data directory: why the node last stopped by itself, and the inputs before.</summary>
    internal const string FailureFile = "last-failure.txt";

    private readonly RaftNodeOptions _options;
    private readonly ILogger _logger;
    private readonly DirectoryIdentity _identity;
    private readonly PeerTransport _transport;
    private readonly IStateMachine _stateMachine;
    private readonly WriteAheadLog _wal;
    private readonly RaftCore _core;
    private readonly SnapshotStore _snapshots;
    private readonly EntryId _recoveredBase;
    private readonly ulong _recoveredCommit;
    private readonly TaskCompletionSource<Exception> _failure = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly CancellationTokenSource _stopping = new();
    private readonly List<Thread> _threads = [];
    private readonly ConcurrentDictionary<ulong, PendingProposal> _proposals = new();
    private int _isStopped;
    private long _proposalSequence;

    private RaftNode(
        RaftNodeOptions options, IStateMachine stateMachine, ILogger logger, DirectoryIdentity identity, WriteAheadLog wal, SnapshotStore snapshots,
        RecoveredState recovered, Socket listener)
    {
        _options = options;
        _logger = logger;
        _identity = identity;
        _stateMachine = stateMachine;
        _wal = wal;
        _snapshots = snapshots;
        _recoveredBase = recovered.Base;
        _recoveredCommit = Math.Max(recovered.HardState.Commit, recovered.Snapshot?.Meta.Last.Index ?? 0);
        var record = identity.Record;
        var members = record.Members.ToDictionary(
            member => new NodeId(member.Key), member => PeerAddress.Parse(member.Value, options.Tls is not null));
        var directory = new PeerDirectory(record.ClusterId, options.Self, record.Incarnation, members)
        {
            Advertised = options.InitialMembers.GetValueOrDefault(options.Self) ?? options.PeerEndpoint.ToString(),
        };
        var tls = options.Tls is null ? null : new PeerTls(options.Tls, options.Self, logger);
        var limits = (options.TransportLimits ?? TransportLimits.Default) with
        {
            SnapshotBytesPerSecond = options.SnapshotBytesPerSecond,
            DescriptorsBelow = options.DescriptorsBelow,
        };
        _transport = new PeerTransport(directory, listener, Deliver, logger, tls, limits);
        _transport.Removed += OnRemoved;
        _transport.Outlived += (peer, incarnation) => Post(new LoopInput.FoundOld(new KnownLife(Self, incarnation, 0, default), peer));
        _transport.RaftConnected += (peer, isConnected) => Post(new LoopInput.PeerConnected(peer, isConnected));
        _transport.RaftEnded += peer => Post(new LoopInput.PeerLost(peer));
        var coreOptions = new RaftCoreOptions
        {
            HeartbeatMs = options.HeartbeatMs,
            ElectionTimeoutMinMs = options.ElectionTimeoutMinMs,
            ElectionTimeoutMaxMs = options.ElectionTimeoutMaxMs,
            DiskStallMs = options.DiskStallMs,
            LeaseReads = options.LeaseReads,
        };
        var seed = options.Seed ?? ((ulong)Stopwatch.GetTimestamp() ^ (record.Incarnation << 32) ^ options.Self.Value);
        _core = new RaftCore(
            options.Self, InitialConfiguration(), coreOptions, recovered.HardState, recovered.Base, recovered.Entries,
            recovered.Snapshot?.Meta, new Xoshiro(seed), NowMs(), LifeStartOf(options, identity, recovered, wal.KnownLives));
        wal.ForgetRecovered();
        if (recovered.Snapshot is { } snapshot)
        {
            Restore(snapshot);
            PublishApplied(snapshot.Meta.Last);
            _reported = snapshot.Meta.Last;
            snapshot.Dispose();
        }
        else
        {
            _appliedConfiguration = _core.ConfigurationAt(0);
        }

        if (LoadQuarantine(options.DataDirectory) is { } note) EnterQuarantine(note);
        _view = MakeView();
        if (_core.Old is not null || _core.Conflict is not null) PublishLives();
        RegisterForwarding();

        Configuration InitialConfiguration() => record.Joined
            ? Configuration.Empty
            : new Configuration(
                members.Keys, details: members.Select(member => new Member(
                    member.Key, options.MemberNames.GetValueOrDefault(member.Key, string.Empty), member.Value.ToString())));
    }

    /// <inheritdoc/>
    public event Action<LogStatus>? StatusChanged;

    /// <summary>Completes, with the cause, if the node had to stop by itself. Never faults and never completes otherwise.</summary>
    public Task<Exception> Failure => _failure.Task;

    /// <summary>What nodes that connect are turned away for at this moment; null if they are not.</summary>
    public AcceptEpisode? RefusingPeers => _transport.Refusing;

    /// <summary>How often this data directory has been started: 1 and up, greater with each start.</summary>
    public ulong Incarnation => _identity.Record.Incarnation;

    /// <summary>The cluster's id, the same on all nodes.</summary>
    public Guid ClusterId => _identity.Record.ClusterId;

    /// <summary>Starts a node: takes the directory's lock, counts the incarnation up, recovers snapshot and log, listens, dials.
    /// The state machine is restored from the newest snapshot before this returns; committed entries behind it are applied again.</summary>
    /// <param name="options">Its set-up.</param>
    /// <param name="stateMachine">Fresh; called by one thread at a time, not always the same.</param>
    /// <param name="loggerFactory">Null for no log messages.</param>
    /// <param name="cancellationToken">Gives up before the node has started.</param>
    /// <exception cref="ArgumentException">A set-up that cannot work, or an address off this host.</exception>
    /// <exception cref="InvalidOperationException">The directory is in use, damaged, or another node's.</exception>
    /// <exception cref="IOException">A file or the listener failed.</exception>
    public static async Task<RaftNode> StartAsync(
        RaftNodeOptions options, IStateMachine stateMachine, ILoggerFactory? loggerFactory, CancellationToken cancellationToken)
    {
        ArgumentNullException.ThrowIfNull(options);
        ArgumentNullException.ThrowIfNull(stateMachine);
        Validate(options);
        var logger = (ILogger?)loggerFactory?.CreateLogger<RaftNode>() ?? NullLogger.Instance;
        return await Task.Run(() => Start(options, stateMachine, logger), cancellationToken);
    }

    /// <summary>Stops: no input is taken any more, what is being written is finished, connections are closed. Outstanding proposals
    /// become Unknown (or NotCommitted where nothing was sent), barriers fail with <see cref="NoLeaderException"/>.
    /// Hand leadership over first if others should not wait for an election.</summary>
    public async ValueTask DisposeAsync()
    {
        BeginStop();
        await Task.Run(() =>
        {
            _threads.ForEach(thread => thread.Join());
            CloseInputs();
        });
        AbandonRequests(isLoopStopped: true);
        await _transport.DisposeAsync();
        await Task.WhenAll(_keepingSnapshots, _maintaining);
        AbandonRequests(isLoopStopped: true); // What peers asked for meanwhile.
        if (Interlocked.Exchange(ref _isStopped, 1) != 0) return;
        _wal.Dispose();
        _identity.Dispose();
        NodeLogMessages.Stopped(_logger, _options.Self);
    }

    private static long NowMs() => Stopwatch.GetTimestamp() / (Stopwatch.Frequency / 1000);

    private static void Validate(RaftNodeOptions options)
    {
        var hasTls = options.Tls is not null;
        if (!hasTls) PeerAddress.RequireLoopback(options.PeerEndpoint);
        if (options.SnapshotBytesPerSecond <= 0) throw new ArgumentException("Snapshots need at least one byte per second.");
        if (options.Self.Value == 0) throw new ArgumentException("Node ids start at 1.");
        if (options.SegmentBytes < 4 * 1024 * 1024 || options.SegmentBytes % 4096 != 0 || options.SegmentBytes > int.MaxValue / 2)
            throw new ArgumentException("A segment has 4 MiB to 1 GiB, in multiples of 4096 bytes.");
        var isOrdered = options.HeartbeatMs > 0 && options.HeartbeatMs < options.ElectionTimeoutMinMs
            && options.ElectionTimeoutMinMs < options.ElectionTimeoutMaxMs;
        if (!isOrdered) throw new ArgumentException("Heartbeat < shortest < longest election timeout is required.");
        foreach (var address in options.InitialMembers.Values) PeerAddress.Parse(address, hasTls);
    }

    private static RaftNode Start(RaftNodeOptions options, IStateMachine stateMachine, ILogger logger)
    {
        var identity = DirectoryIdentity.Open(options);
        WriteAheadLog? wal = null;
        Socket? listener = null;
        try
        {
            var storage = new DirectoryStorage(DirectoryIdentity.LogOf(options.DataDirectory));
            var snapshots = new SnapshotStore(
                new DirectorySnapshotStorage(Path.Combine(options.DataDirectory, "snapshots")), identity.Record.ClusterId);
            RecoveredState recovered;
            try
            {
                wal = new WriteAheadLog(storage, options.SegmentBytes, identity.Record.Incarnation);
                recovered = RecoveredState.Of(wal, snapshots, damage => NodeLogMessages.SnapshotDamaged(logger, options.Self, damage));
            }
            catch (WalException error)
            {
                throw new InvalidOperationException(error.Message, error);
            }

            listener = options.BoundListener ?? Listen(options.PeerEndpoint);
            var node = new RaftNode(options, stateMachine, logger, identity, wal, snapshots, recovered, listener);
            NodeLogMessages.Starting(
                logger, options.Self, node.ClusterId, node.Incarnation, recovered.HardState.Term, recovered.Entries.Count, wal.Recovered.TornFrames);
            node.StartThreads();
            return node;
        }
        catch
        {
            listener?.Dispose();
            wal?.Dispose();
            identity.Dispose();
            throw;
        }
    }

    private static Socket Listen(IPEndPoint endpoint)
    {
        var socket = new Socket(endpoint.AddressFamily, SocketType.Stream, ProtocolType.Tcp);
        try
        {
            socket.Bind(endpoint);
            socket.Listen(128);
            return socket;
        }
        catch (SocketException error)
        {
            socket.Dispose();
            throw new IOException($"Cannot listen on {endpoint}: {error.Message}", error);
        }
    }

    private void StartThreads()
    {
        _transport.Start();
        OpenInputs();
        StartThread("raft-loop", RunLoop);
        StartThread("raft-log", RunLog);
        StartThread("raft-apply", RunApply);
        _keepingSnapshots = Task.Run(() => GuardAsync(KeepSnapshotsAsync));
    }

    private void StartThread(string name, Action body)
    {
        var thread = new Thread(() => Guard(body)) { IsBackground = true, Name = $"{name}-{_options.Self}" };
        _threads.Add(thread);
        thread.Start();
    }

    /// <summary>Whatever goes wrong on a thread of the engine is fatal: nothing may be sent or acknowledged after it.</summary>
    private void Guard(Action body)
    {
        try
        {
            body();
        }
#pragma warning disable CA1031 // Every failure stops the node, loudly.
        catch (Exception error)
#pragma warning restore CA1031
        {
            Fail(error);
        }
    }

    private async Task GuardAsync(Func<Task> body)
    {
        try
        {
            await body();
        }
#pragma warning disable CA1031 // Every failure stops the node, loudly.
        catch (Exception error)
#pragma warning restore CA1031
        {
            Fail(error);
        }
    }

    private void Fail(Exception error)
    {
        _isOver = true;
        try
        {
            NodeLogMessages.Fatal(_logger, _options.Self, error);
            BeginStop();
            AbandonRequests(isLoopStopped: false);
            KeepTrace(error);
        }
        finally
        {
            _failure.TrySetResult(error);
        }
    }

    /// <summary>What led to it, in a file: the process is about to end.</summary>
    private void KeepTrace(Exception error)
    {
        try
        {
            File.WriteAllText(
                Path.Combine(_options.DataDirectory, FailureFile), $"Node {Self}, incarnation {Incarnation}, stopped by itself.\n{error}\n\n{_trace.Describe()}");
        }
        catch (Exception failed) when (failed is IOException or UnauthorizedAccessException)
        {
            NodeLogMessages.TraceNotKept(_logger, Self, failed.Message);
        }
    }

    private void BeginStop()
    {
        _ = _stopping.CancelAsync(); // Set at once; what hangs on it runs elsewhere.
        lock (_inboxGate) Monitor.PulseAll(_inboxGate);
        lock (_writesGate) Monitor.PulseAll(_writesGate);
        lock (_applyGate) Monitor.PulseAll(_applyGate);
    }

    private void AbandonRequests(bool isLoopStopped)
    {
        foreach (var (sequence, _) in _proposals)
        {
            if (!_proposals.TryRemove(sequence, out var proposal)) continue;
            proposal.Finish(
                isLoopStopped && proposal.Stage == ProposalStage.Waiting ? ProposalOutcome.NotCommitted : ProposalOutcome.Unknown,
                "this node is stopping");
        }

        lock (_waitersGate)
        {
            while (_waiters.TryDequeue(out var waiter, out _)) waiter.TrySetException(new NoLeaderException("This node is stopping."));
        }
    }
}
