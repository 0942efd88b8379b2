using RaftMirror.Contracts;

namespace RaftMirror.Node.State;

/// <summary>Whether this node may serve: not if its state is not to be trusted, nor if it has left the cluster. Once barred, an incarnation
/// stays so. Any thread.</summary>
internal sealed class ServiceBar
{
    private readonly TaskCompletionSource<Bar> _barred = new(TaskCreationOptions.RunContinuationsAsynchronously);

    /// <summary>Why the node does not serve; null if it may.</summary>
    public Bar? Barred => _barred.Task.IsCompletedSuccessfully ? _barred.Task.Result : null;

    /// <summary>Completes when the node may serve no more.</summary>
    public Task<Bar> WhenBarred => _barred.Task;

    /// <summary>Bars it; the first reason stays.</summary>
    public void Set(string word, string reason) => _barred.TrySetResult(new Bar(word, reason));

    /// <summary>Why a node does not serve.</summary>
    /// <param name="Word"><see cref="NodeStandings.Quarantined"/>, <see cref="NodeStandings.Outdated"/>, <see cref="NodeStandings.Conflicting"/> or <see cref="NodeStandings.Removed"/>.</param>
    /// <param name="Reason">For people.</param>
    internal sealed record Bar(string Word, string Reason)
    {
        /// <summary>What an operator does about it.</summary>
        public string Help(string node) => NodeStandings.HelpFor(Word, node)
            ?? "stop it; to bring the machine back, start the node with an empty --data and --join";

        /// <summary>The code of what is refused for it.</summary>
        public string Code => "node" + char.ToUpperInvariant(Word[0]) + Word[1..];
    }
}
