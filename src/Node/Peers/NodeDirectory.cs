using RaftMirror.Consensus;
using RaftMirror.Consensus.Model;

namespace RaftMirror.Node.Peers;

/// <summary>Names, numbers and addresses of the cluster's nodes, as the engine's configuration has them now. Until a node that joins has
/// learned it, what it was told when it joined. Any thread.</summary>
internal sealed class NodeDirectory
{
    private readonly FirstMember _self;
    private readonly Dictionary<ushort, FirstMember> _first;
    private volatile View _view;

    /// <param name="first">Of the first start.</param>
    /// <param name="self">This node's name, one of <paramref name="first"/>.</param>
    /// <exception cref="ArgumentException">It is not.</exception>
    public NodeDirectory(FirstStart first, string self)
    {
        _self = first.Members.FirstOrDefault(member => member.Name == self)
            ?? throw new ArgumentException(
                $"'{self}' is none of the cluster's nodes ({string.Join(", ", first.Members.Select(member => member.Name))}): check --name and --data.");
        _first = first.Members.ToDictionary(member => member.Id);
        _view = new View(first.Members);
    }

    /// <summary>This node's number.</summary>
    public NodeId Self => new(_self.Id);

    /// <summary>The members' names, sorted; this node's too, even if it has left.</summary>
    public IReadOnlyCollection<string> Names => _view.ByName.Keys;

    /// <summary>Follows the engine's configuration from now on.</summary>
    public void Follow(IReplicatedLog log)
    {
        log.StatusChanged += Take;
        Take(log.Status);
    }

    /// <summary>The number of a member, or null.</summary>
    public NodeId? IdOf(string name) => _view.ByName.TryGetValue(name, out var member) ? new NodeId(member.Id) : null;

    /// <summary>The name of a member, or null.</summary>
    public string? NameOf(NodeId id) => _view.ById.GetValueOrDefault(id.Value)?.Name;

    /// <summary>Takes over who takes part. A status without members is one that does not know yet.</summary>
    internal void Take(LogStatus status)
    {
        if (status.Members.Count == 0) return;
        var members = status.Members
            .Select(member => new FirstMember(
                member.Name.Length > 0 ? member.Name : _first.GetValueOrDefault(member.Id.Value)?.Name ?? "", member.Id.Value, member.Address))
            .Where(member => member.Name.Length > 0 && member.Name != _self.Name)
            .Append(_self);
        _view = new View(members);
    }

    /// <summary>Immutable.</summary>
    private sealed class View
    {
        public View(IEnumerable<FirstMember> members)
        {
            foreach (var member in members)
            {
                ByName[member.Name] = member;
                ById[member.Id] = member;
            }
        }

        public SortedDictionary<string, FirstMember> ByName { get; } = new(StringComparer.Ordinal);

        public Dictionary<ushort, FirstMember> ById { get; } = [];
    }
}
