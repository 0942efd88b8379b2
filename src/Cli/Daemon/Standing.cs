namespace RaftMirror.Cli.Daemon;

/// <summary>Whether this node may serve: not if its state is not to be trusted, nor if it has left the cluster. Once barred, an incarnation
/// stays so. Any thread.</summary>
internal sealed class Standing
{
    /// <summary>The node takes part, and nothing stands against it.</summary>
    public const string Member = "member";

    /// <summary>The node's state differs from the majority's.</summary>
    public const string Quarantined = "quarantined";

    /// <summary>The node was taken out of the cluster.</summary>
    public const string Removed = "removed";

    private readonly TaskCompletionSource<Bar> _barred = new(TaskCreationOptions.RunContinuationsAsynchronously);

    /// <summary>Why the node does not serve; null if it may.</summary>
    public Bar? Barred => _barred.Task.IsCompletedSuccessfully ? _barred.Task.Result : null;

    /// <summary>Completes when the node may serve no more.</summary>
    public Task<Bar> WhenBarred => _barred.Task;

    /// <summary>Bars it; the first reason stays.</summary>
    public void Set(string word, string reason) => _barred.TrySetResult(new Bar(word, reason));

    /// <summary>Why a node does not serve.</summary>
    /// <param name="Word"><see cref="Quarantined"/> or <see cref="Removed"/>.</param>
    /// <param name="Reason">For people.</param>
    internal sealed record Bar(string Word, string Reason)
    {
        /// <summary>What an operator does about it.</summary>
        public string Help(string node) => Word == Quarantined
            ? $"raftmirror raft reseed {node}"
            : $"stop it; to bring the machine back, start the node with an empty --data and --join";
    }
}
