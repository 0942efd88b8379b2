using Microsoft.Extensions.Logging;
using RaftMirror.Consensus.Model;
using RaftMirror.Consensus.Node;
using RaftMirror.Contracts;
using RaftMirror.DataPlane.Nbd.Server;
using RaftMirror.Node.Http;
using RaftMirror.Primitives;

namespace RaftMirror.Node.Hosting;

/// <summary>What has run out on this node, as causes for status, and what is done about it: descriptors, space for the log and snapshots.
/// Any thread.</summary>
internal sealed partial class ResourceWatch(
    string self, string dataDirectory, DescriptorTiers tiers, RaftNode raft, ApiDoor door, Func<NbdServer?> nbd,
    Func<NodeId, CancellationToken, Task<bool>> hasRoom, ILogger logger)
{
    /// <summary>Less than this on the data directory's file system is too little: two segments of the log.</summary>
    private const long LowBytes = 32L << 20;

    private static readonly TimeSpan Period = TimeSpan.FromSeconds(2);
    private static readonly TimeSpan HandOverLimit = TimeSpan.FromSeconds(3);
    private long _freeBytes = long.MaxValue;
    private bool _wasLow;

    /// <summary>Why this node's log can take no more commands of users; null if it can. See docs/operations.md.</summary>
    public string? LogShortage => raft.LogShortage is { } reason ? $"the log of node '{self}' in {dataDirectory} cannot grow: {reason}" : null;

    /// <summary>Looks at the space that is left until cancelled: that is a call to the file system, which status must not wait for.</summary>
    public async Task RunAsync(CancellationToken cancellationToken)
    {
        if (tiers.Limit < DescriptorTiers.SmallLimit) LogSmallLimit(logger, tiers.Limit, tiers.NbdBelow);
        using var timer = new PeriodicTimer(Period);
        do
        {
            LookAtSpace();
            if (raft is { LogShortage: not null, Status.IsLeader: true }) await HandOverAsync(cancellationToken);
        }
        while (await timer.WaitForNextTickAsync(cancellationToken));
    }

    /// <summary>Commands go on as long as one voter has room: it should lead.</summary>
    private async Task HandOverAsync(CancellationToken cancellationToken)
    {
        foreach (var member in raft.Status.Members.Where(member => member is { IsVoter: true, IsRecentlyActive: true } && member.Id != raft.Status.Self))
        {
            if (!await hasRoom(member.Id, cancellationToken)) continue;
            using var limit = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
            limit.CancelAfter(HandOverLimit);
            try
            {
                LogHandsOver(logger, member.Name);
                if (await raft.TransferLeadershipAsync(member.Id, limit.Token) is null) return;
            }
            catch (OperationCanceledException) when (!cancellationToken.IsCancellationRequested)
            {
                // It did not take it; another may.
            }
        }
    }

    /// <summary>True if this node's log has room and its file system enough space to lead.</summary>
    public bool HasRoom => raft.LogShortage is null && Volatile.Read(ref _freeBytes) >= LowBytes;

    /// <summary>Nothing if nothing has run out.</summary>
    public IReadOnlyList<HealthCause> Causes()
    {
        var causes = new List<HealthCause>();
        if (raft.LogShortage is { } shortage)
        {
            causes.Add(new HealthCause(
                "RM1601 LOG_FULL", self, $"its log cannot grow: {shortage}; as leader it refuses commands, what runs goes on; if it cannot follow the others' log at all, they take over what it serves",
                $"free space on the file system of {dataDirectory} on {self}; it goes on by itself"));
        }
        else if (Volatile.Read(ref _freeBytes) < LowBytes)
        {
            causes.Add(new HealthCause(
                "RM1602 DATA_DIRECTORY_LOW", self,
                $"{Volatile.Read(ref _freeBytes) >> 20} MiB are free in {dataDirectory}; its log and snapshots need {LowBytes >> 20} MiB to go on for long",
                $"free space on the file system of {dataDirectory} on {self}"));
        }

        if (raft.SnapshotFailure is { } failure)
        {
            causes.Add(new HealthCause(
                "RM1603 SNAPSHOT_FAILED", self, $"its last snapshot could not be written: {failure}; its log grows meanwhile",
                $"free space on the file system of {dataDirectory} on {self}; it is tried again by itself"));
        }

        if (nbd()?.Memory is { Throttled: > 0 } memory) causes.Add(Throttled(memory));
        foreach (var (endpoint, episode) in nbd()?.Refusing ?? []) causes.Add(TurnedAway($"NBD clients at {endpoint}", episode));
        if (door.Refusing is { } http) causes.Add(TurnedAway("HTTP clients", http));
        if (raft.RefusingPeers is { } peers) causes.Add(TurnedAway("connections of nodes", peers));
        return causes;
    }

    private HealthCause Throttled(NbdMemory memory) => new(
        "RM1606 REQUESTS_HELD_BACK", self,
        $"{memory.Throttled} NBD client(s) are not read from, one for {memory.LongestMs / 1000} s: "
            + (memory.IsSharedUp
                ? $"the requests of all clients hold {memory.SharedBytes >> 20} MiB of memory and may hold {memory.MaxSharedBytes >> 20} MiB"
                : $"their own requests hold what they may ({memory.MaxBytes >> 20} MiB, {memory.MaxRequests} requests)"),
        "nothing is lost, and it is over by itself once requests are answered: they wait for a disk (see other causes) or for clients that take no replies, which are disconnected after 5 s");

    private HealthCause TurnedAway(string who, AcceptEpisode episode) => new(
        "RM1604 TURNED_AWAY", self, $"{episode.Refused} {who} were turned away since {episode.Since:yyyy-MM-ddTHH:mm:ssZ}: {episode.Reason}",
        $"close clients that are not needed, or start {self} with more descriptors (LimitNOFILE=, ulimit -n; now {tiers.Limit})");

    private void LookAtSpace()
    {
        try
        {
            Volatile.Write(ref _freeBytes, new DriveInfo(dataDirectory).AvailableFreeSpace);
        }
        catch (IOException)
        {
            return; // Whatever is wrong with it shows when it is used.
        }

        var isLow = raft.LogShortage is not null || Volatile.Read(ref _freeBytes) < LowBytes;
        if (isLow && !_wasLow) LogLow(logger, dataDirectory, Volatile.Read(ref _freeBytes) >> 20);
        if (!isLow && _wasLow) LogEnough(logger, dataDirectory, Volatile.Read(ref _freeBytes) >> 20);
        _wasLow = isLow;
    }

    [LoggerMessage(3050, LogLevel.Warning, "At most {Limit} files and sockets may be open (RLIMIT_NOFILE): NBD clients get descriptors below {NbdBelow}, the runtime uses about 250 of them")]
    private static partial void LogSmallLimit(ILogger logger, long limit, int nbdBelow);

    [LoggerMessage(3051, LogLevel.Warning, "{Directory} has {Free} MiB left: when the log cannot grow, commands are refused; what runs goes on")]
    private static partial void LogLow(ILogger logger, string directory, long free);

    [LoggerMessage(3053, LogLevel.Warning, "Leadership goes to {Node}, whose log has room")]
    private static partial void LogHandsOver(ILogger logger, string node);

    [LoggerMessage(3052, LogLevel.Information, "{Directory} has room again: {Free} MiB")]
    private static partial void LogEnough(ILogger logger, string directory, long free);
}
