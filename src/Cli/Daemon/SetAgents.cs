using System.Collections.Immutable;
using Microsoft.Extensions.Logging;
using RaftMirror.ControlPlane.Model;
using RaftMirror.DataPlane.Leases.Core;
using RaftMirror.DataPlane.Mirroring;

namespace RaftMirror.Cli.Daemon;

/// <summary>Enacts every applied state, in log order: makes and ends this node's set agents and feeds them. One task.</summary>
internal sealed partial class SetAgents(
    NodeIdentity self,
    StateFeed feed,
    Func<string, TransferSpans, DataPlanePorts> ports,
    MirrorOptions options,
    ILogger logger) : IAsyncDisposable
{
    private readonly Lock _gate = new();
    private ImmutableSortedDictionary<string, SetAgent> _agents = ImmutableSortedDictionary.Create<string, SetAgent>(StringComparer.Ordinal);
    private ImmutableHashSet<string> _leaving = ImmutableHashSet.Create<string>(StringComparer.Ordinal);
    private LeaseGrant? _newest;

    /// <summary>The agents. Any thread.</summary>
    public IEnumerable<SetAgent> All => Volatile.Read(ref _agents).Values;

    /// <summary>The agent of a set, or null. Any thread.</summary>
    public SetAgent? Find(string set) => Volatile.Read(ref _agents).GetValueOrDefault(set);

    /// <summary>Enacts until the feed ends.</summary>
    public async Task RunAsync(CancellationToken cancellationToken)
    {
        await foreach (var state in feed.States.ReadAllAsync(cancellationToken))
        {
            foreach (var set in state.Sets.Values)
            {
                if (!Serves(set)) continue;
                var agent = Find(set.Name) ?? Begin(set.Name);
                agent.Enact(state, set);
            }

            foreach (var (name, agent) in Volatile.Read(ref _agents))
            {
                if (state.Set(name) is { } set && Serves(set)) continue;
                await EndAsync(name);
            }
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

    /// <summary>Takes a set out of service on this node and drains it; it begins anew when the node joins again. Any thread.</summary>
    public async Task DrainAsync(string set)
    {
        lock (_gate) _leaving = _leaving.Add(set);
        await EndAsync(set);
    }

    /// <summary>The node did not leave after all.</summary>
    public void StayIn(string set)
    {
        lock (_gate) _leaving = _leaving.Remove(set);
    }

    /// <inheritdoc/>
    public async ValueTask DisposeAsync()
    {
        foreach (var agent in All) await agent.DisposeAsync();
    }

    private SetAgent Begin(string set)
    {
        var spans = new TransferSpans(set, self.Name);
        var agent = new SetAgent(self, ports(set, spans), options, spans);
        lock (_gate)
        {
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

    private async Task EndAsync(string set)
    {
        SetAgent? agent;
        lock (_gate)
        {
            agent = _agents.GetValueOrDefault(set);
            _agents = _agents.Remove(set);
        }

        if (agent is null) return;
        LogEnded(logger, set);
        await agent.DisposeAsync();
    }

    [LoggerMessage(3301, LogLevel.Information, "Disk set {Set}: data plane begins")]
    private static partial void LogBegun(ILogger logger, string set);

    [LoggerMessage(3302, LogLevel.Information, "Disk set {Set}: data plane ends")]
    private static partial void LogEnded(ILogger logger, string set);
}
