namespace RaftMirror.Simulation.Explorer;

/// <summary>Nodes and messages that are equal, by the hashes under the true names, are kept once for a whole search: the states of single nodes are
/// thousands where those of clusters are millions, so a waiting world costs a few references. Not more is assumed than by the
/// search itself: that equal hashes mean equal states. One thread.</summary>
internal sealed class Interned(int nodes)
{
    private readonly Dictionary<UInt128, ExploredNode>[] _nodes = [.. Enumerable.Range(0, nodes).Select(_ => new Dictionary<UInt128, ExploredNode>())];
    private readonly Dictionary<UInt128, ExploredMessage> _messages = [];

    /// <summary>What became of each node in each state by each input that decides alone.</summary>
    public Dictionary<StepKey, NodeStep> Steps { get; } = [];

    public int NodeStates => _nodes.Sum(states => states.Count);

    /// <summary>The first node met that is equal; sealed.</summary>
    public ExploredNode Share(int index, ExploredNode node)
    {
        if (_nodes[index].TryGetValue(node.Hashes[0], out var known)) return known;
        _nodes[index].Add(node.Hashes[0], node);
        return node;
    }

    public ExploredMessage Share(ExploredMessage message)
    {
        if (_messages.TryGetValue(message.Hashes[0], out var known)) return known;
        _messages.Add(message.Hashes[0], message);
        return message;
    }
}
