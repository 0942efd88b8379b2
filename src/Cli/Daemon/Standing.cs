namespace RaftMirror.Cli.Daemon;

/// <summary>Whether this node may serve: not if its state is not to be trusted, nor if it has left the cluster. Once barred, an incarnation
/// stays so. Any thread.</summary>
internal sealed class Standing
{
    /// <summary>The node takes part, and nothing stands against it.</summary>
    public const string Member = "member";

    /// <summary>The node's state differs from the majority's.</summary>
    public const string Quarantined = "quarantined";

    /// <summary>The node's data directory is an older copy (design §14.24).</summary>
    public const string Outdated = "outdated";

    /// <summary>The node's committed history and others' contradict each other (design §14.24).</summary>
    public const string Conflicting = "conflicting";

    /// <summary>The node was taken out of the cluster.</summary>
    public const string Removed = "removed";

    private readonly TaskCompletionSource<Bar> _barred = new(TaskCreationOptions.RunContinuationsAsynchronously);

    /// <summary>Why the node does not serve; null if it may.</summary>
    public Bar? Barred => _barred.Task.IsCompletedSuccessfully ? _barred.Task.Result : null;

    /// <summary>Completes when the node may serve no more.</summary>
    public Task<Bar> WhenBarred => _barred.Task;

    /// <summary>Bars it; the first reason stays.</summary>
    public void Set(string word, string reason) => _barred.TrySetResult(new Bar(word, reason));

    /// <summary>What an operator does about a node that is still a member; null if there is nothing to do.</summary>
    public static string? HelpFor(string? word, string node) => word switch
    {
        Quarantined => $"raftmirror raft reseed {node}",
        Outdated => $"raftmirror raft reseed {node} (a majority of the others must be up; else name the node whose history counts: --from NODE), "
            + "or stop it, put its newer directory back and start it; if every newer directory is lost for good: raftmirror raft recover, on the node that has most (for the log: disks that are newer than its state stay refused)",
        Conflicting => $"choose whose history counts; for each node whose history does not: raftmirror raft reseed NODE --from NODE-THAT-COUNTS",
        _ => null,
    };

    /// <summary>Why a node does not serve.</summary>
    /// <param name="Word"><see cref="Quarantined"/>, <see cref="Outdated"/>, <see cref="Conflicting"/> or <see cref="Removed"/>.</param>
    /// <param name="Reason">For people.</param>
    internal sealed record Bar(string Word, string Reason)
    {
        /// <summary>What an operator does about it.</summary>
        public string Help(string node) => HelpFor(Word, node)
            ?? "stop it; to bring the machine back, start the node with an empty --data and --join";

        /// <summary>The code of what is refused for it.</summary>
        public string Code => "node" + char.ToUpperInvariant(Word[0]) + Word[1..];
    }
}
