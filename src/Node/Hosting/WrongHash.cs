using RaftMirror.Consensus;
using RaftMirror.Consensus.Model;

namespace RaftMirror.Node.Hosting;

/// <summary>Fault injection for tests: a state machine whose state is right and whose hash is not, from an index on.</summary>
internal sealed class WrongHash(IStateMachine inner, ulong from) : IStateMachine
{
    private ulong _applied;

    /// <inheritdoc/>
    public ulong StateHash => _applied >= from ? ~inner.StateHash : inner.StateHash;

    /// <inheritdoc/>
    public ReadOnlyMemory<byte> Apply(LogPosition position, ulong epoch, ReadOnlySpan<byte> command)
    {
        _applied = position.Value;
        return inner.Apply(position, epoch, command);
    }

    /// <inheritdoc/>
    public ISnapshotSource BeginSnapshot() => inner.BeginSnapshot();

    /// <inheritdoc/>
    public void Restore(Stream content) => inner.Restore(content);
}
