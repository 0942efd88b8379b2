using System.Collections.Immutable;
using Microsoft.Extensions.Logging;
using RaftMirror.ControlPlane.Model;
using RaftMirror.DataPlane.Leases.Core;
using RaftMirror.DataPlane.Mirroring.Core;
using RaftMirror.DataPlane.Mirroring.Shell;
using RaftMirror.Node.State;

namespace RaftMirror.Node.Sets;

/// <summary>Enacts every applied state, in log order: makes and ends this node's set agents and feeds them. One task.</summary>
internal sealed partial class SetAgents(
    NodeIdentity self,
    StateFeed feed,
    Func<string, TransferSpans, DataPlanePorts> ports,
    MirrorOptions options,
    Action<string> overtaken,
    ILogger logger) : IAsyncDisposable
{
    private readonly Lock _gate = new();
    private ImmutableSortedDictionary<string, SetAgent> _agents = ImmutableSortedDictionary.Create<string, SetAgent>(StringComparer.Ordinal);
    private ImmutableHashSet<string> _leaving = ImmutableHashSet.Create<string>(StringComparer.Ordinal);
    private readonly Dictionary<string, Task<bool>> _endings = new(StringComparer.Ordinal); // Of agents that are still among _agents.
    private readonly HashSet<string> _retiring = new(StringComparer.Ordinal);
    private readonly Dictionary<string, ulong> _spent = new(StringComparer.Ordinal);
    private LeaseGrant? _newest;
    private bool _isClosed;
    private readonly SortedDictionary<string, string> _left = new(StringComparer.Ordinal); // Of sets that ended with something to be merged: why.

    /// <summary>The agents, those that end included: whoever is counted on is to be reached. Any thread.</summary>
    public IEnumerable<SetAgent> All => Volatile.Read(ref _agents).Values;

    /// <summary>The agent of a set, or null. Any thread.</summary>
    public SetAgent? Find(string set) => Volatile.Read(ref _agents).GetValueOrDefault(set);

    /// <summary>Enacts until the feed ends.</summary>
    public async Task RunAsync(CancellationToken cancellationToken)
    {
        ClusterState? last = null;
        await foreach (var (next, isJump) in feed.States.ReadAllAsync(cancellationToken))
        {
            if ((next ?? last) is not { } state) continue;
            last = state;
            // A data plane must see every configuration. One that was passed over by a snapshot begins anew, in a new incarnation.
            if (isJump && !Volatile.Read(ref _agents).IsEmpty)
            {
                overtaken($"a snapshot brought the state to index {state.Index} at once");
                return;
            }

            foreach (var set in state.Sets.Values)
            {
                var isServed = Serves(set);
                if ((Find(set.Name) ?? (isServed ? Begin(set.Name) : null)) is { } agent) agent.Enact(state, set);
            }

            foreach (var (name, _) in Volatile.Read(ref _agents))
            {
                if (state.Set(name) is { } set && (Serves(set) || IsLeaving(name))) continue;
                _ = RetireAsync(name); // No other set waits for its disks.
            }
        }
    }

    /// <summary>True while this node may do I/O: what it was granted last has not run out. Any thread.</summary>
    public bool HasLease
    {
        get
        {
            lock (_gate) return _newest is { } grant && Primitives.Linux.BootTimeNanoseconds() < grant.ExpiresNs;
        }
    }

    /// <summary>Hands a lease to every set. Any thread.</summary>
    public void Granted(LeaseGrant grant)
    {
        lock (_gate)
        {
            _newest = grant;
            foreach (var agent in _agents.Values) agent.Granted(grant);
        }
    }

    /// <summary>Hands on a message of another node's data plane. Any thread.</summary>
    public void Receive(string from, string set, ReadOnlyMemory<byte> payload) => Find(set)?.Receive(from, payload);

    /// <summary>Takes a set out of service on this node and drains it. It hears all that concerns it until the leave is committed: then it begins
    /// anew when the node joins again. Any thread.</summary>
    /// <param name="set">Name.</param>
    /// <param name="limit">How long to wait for disks that hang.</param>
    /// <returns>True if nothing is left there that would have to be merged: then the node may leave. Null if it has not ended in time.</returns>
    public async Task<bool?> DrainAsync(string set, TimeSpan limit)
    {
        lock (_gate) _leaving = _leaving.Add(set);
        try
        {
            return await EndAsync(set).WaitAsync(limit);
        }
        catch (TimeoutException)
        {
            return null;
        }
    }

    /// <summary>The node did not leave after all: the set begins anew here, once the drain is over.</summary>
    public void StayIn(string set)
    {
        lock (_gate) _leaving = _leaving.Remove(set);
        _ = RetireAsync(set);
        feed.Nudge();
    }

    /// <summary>Ends all agents, and waits for those whose end began before; no other begins. Any thread.</summary>
    /// <param name="limit">How long to wait: a disk that hangs must not keep the process. What is under way then ends in the kernel, and the
    /// others fence this incarnation.</param>
    /// <returns>Null only if every agent of this incarnation has ended with nothing left to be merged; else what is left in which sets, for people.</returns>
    public async Task<string?> EndAllAsync(TimeSpan limit)
    {
        lock (_gate) _isClosed = true;
        foreach (var set in Volatile.Read(ref _agents).Keys) _ = EndAsync(set);
        Dictionary<string, Task<bool>> endings;
        lock (_gate) endings = new(_endings, StringComparer.Ordinal);
        try
        {
            await Task.WhenAll(endings.Values).WaitAsync(limit);
        }
        catch (TimeoutException)
        {
            foreach (var (set, ending) in endings)
            {
                if (!ending.IsCompleted) Leave(set, $"its I/O has not ended within {limit.TotalSeconds:0} s");
            }
        }

        lock (_gate) return _left.Count == 0 ? null : string.Join("; ", _left.Select(static left => $"set '{left.Key}': {left.Value}"));
    }

    /// <summary>Nobody counts on this incarnation any more. An agent whose drain hangs falls silent when that is over.</summary>
    public async ValueTask DisposeAsync()
    {
        foreach (var agent in Volatile.Read(ref _agents).Values)
        {
            var silence = agent.DisposeAsync().AsTask();
            if (agent.EndAsync().IsCompleted) await silence;
        }
    }

    private SetAgent? Begin(string set)
    {
        var spans = new TransferSpans(set, self.Name);
        SetAgent agent;
        lock (_gate)
        {
            if (_isClosed || _leaving.Contains(set)) return null;
            agent = new SetAgent(set, self, ports(set, spans), options, spans, _spent.GetValueOrDefault(set));
            _agents = _agents.Add(set, agent);
            if (_newest is { } grant) agent.Granted(grant);
        }

        LogBegun(logger, set);
        return agent;
    }

    private bool Serves(SetState set)
    {
        if (!set.Members.TryGetValue(self.Name, out var member)) return false;
        lock (_gate)
        {
            if (member.HasLeft) _leaving = _leaving.Remove(set.Name); // Committed: the next join begins anew.
            return !member.HasLeft && !_leaving.Contains(set.Name);
        }
    }

    /// <summary>True from the moment from which this node is to begin nothing more on a set's disks, which it will then assert. Any thread.</summary>
    public bool IsEnding(string set)
    {
        lock (_gate) return _isClosed || _leaving.Contains(set);
    }

    private bool IsLeaving(string set)
    {
        lock (_gate) return _leaving.Contains(set);
    }

    private Task<bool> EndAsync(string set)
    {
        lock (_gate)
        {
            if (!_agents.TryGetValue(set, out var agent)) return Task.FromResult(true);
            if (_endings.TryGetValue(set, out var ending)) return ending;
            LogEnded(logger, set);
            return _endings[set] = WatchEndAsync(set, agent);
        }
    }

    /// <summary>Ends a set's agent and forgets it. Another begins only then: two of one set would both write to its disks and its slot.</summary>
    private async Task RetireAsync(string set)
    {
        lock (_gate)
        {
            if (!_agents.ContainsKey(set) || !_retiring.Add(set)) return;
        }

        await EndAsync(set);
        var agent = Find(set)!;
        await agent.DisposeAsync();
        lock (_gate)
        {
            _agents = _agents.Remove(set);
            _endings.Remove(set);
            _retiring.Remove(set);
        }

        feed.Nudge();
    }

    private async Task<bool> WatchEndAsync(string set, SetAgent agent)
    {
        var isClean = await agent.EndAsync();
        lock (_gate)
        {
            _spent[set] = Math.Max(_spent.GetValueOrDefault(set), agent.DataPlane.SlotGeneration);
        }

        if (!isClean) LogUnclean(logger, set, Leave(set, "not everything could be flushed and cleaned"));
        return isClean;
    }

    /// <summary>Keeps why something of a set is left to be merged.</summary>
    private string Leave(string set, string what)
    {
        if (Find(set)?.DataPlane.EndWaitsFor() is { } wait) what += $" ({wait})";
        lock (_gate) _left[set] = what;
        return what;
    }

    [LoggerMessage(3301, LogLevel.Information, "Disk set {Set}: data plane begins")]
    private static partial void LogBegun(ILogger logger, string set);

    [LoggerMessage(3303, LogLevel.Warning, "Disk set {Set}: the data plane ended with something left that must be merged: {What}")]
    private static partial void LogUnclean(ILogger logger, string set, string what);

    [LoggerMessage(3302, LogLevel.Information, "Disk set {Set}: data plane ends")]
    private static partial void LogEnded(ILogger logger, string set);
}
