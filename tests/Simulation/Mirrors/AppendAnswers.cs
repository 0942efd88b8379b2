namespace RaftMirror.Simulation.Mirrors;

/// <summary>Answers of one dirty log's appends. A pause may put off the step of one answer past that of the next; the shell chains its
/// answers (MirrorVolume), so that the core hears of its appends in their order all the same.</summary>
internal sealed class AppendAnswers
{
    private readonly Queue<ulong> _due = new();

    /// <summary>An append is durable: hands over a step that gives the oldest answer that is due then, which need not be this one's.</summary>
    public void Durable(ulong token, Action<Action> step, Action<ulong> answer)
    {
        _due.Enqueue(token);
        step(() => answer(_due.Dequeue()));
    }

    /// <summary>A new life has a new log.</summary>
    public void Clear() => _due.Clear();
}
