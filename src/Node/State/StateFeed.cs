using System.Threading.Channels;
using RaftMirror.ControlPlane.Model;
using RaftMirror.Primitives;

namespace RaftMirror.Node.State;

/// <summary>Hands every applied state to those who act on it: in order to the enactor, and as a condition to whoever waits.
/// Any thread but publishing, which is the apply thread's.</summary>
internal sealed class StateFeed
{
    private readonly Channel<FedState> _states =
        Channel.CreateUnbounded<FedState>(new UnboundedChannelOptions { SingleReader = true });

    private volatile ClusterState _current;
    private readonly ChangeSignal _changed = new();

    public StateFeed(ClusterState current) => _current = current;

    /// <summary>Completes when the next state is there. To be taken before the look at <see cref="Current"/>.</summary>
    public Task Changed => _changed.Next;

    /// <summary>The newest applied state.</summary>
    public ClusterState Current => _current;

    /// <summary>Every applied state since the start, for the one enactor.</summary>
    public ChannelReader<FedState> States => _states.Reader;

    /// <summary>Takes the state after the next entry.</summary>
    public void Publish(ClusterState state) => Take(new FedState(state, IsJump: false));

    /// <summary>Takes the state of a snapshot: what lies between it and the one before is never told.</summary>
    public void PublishRestored(ClusterState state) => Take(new FedState(state, IsJump: true));

    /// <summary>Makes the enactor look at the newest state that it has taken once more.</summary>
    public void Nudge() => _states.Writer.TryWrite(default);

    private void Take(FedState next)
    {
        _current = next.State!;
        _states.Writer.TryWrite(next);
        _changed.Raise();
    }

    /// <summary>No more states will come.</summary>
    public void Complete() => _states.Writer.TryComplete();

    /// <summary>Waits for the first state, from now on, that satisfies a condition.</summary>
    public async Task<ClusterState> WaitAsync(Func<ClusterState, bool> condition, CancellationToken cancellationToken)
    {
        while (true)
        {
            var changed = Changed; // Before the look at the state: no change is missed.
            var state = _current;
            if (condition(state)) return state;
            await changed.WaitAsync(cancellationToken);
        }
    }

    /// <summary>Waits until the state changes or the time is up.</summary>
    public async Task WaitChangeAsync(ulong seenIndex, TimeSpan most, CancellationToken cancellationToken)
    {
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        limit.CancelAfter(most);
        try
        {
            await WaitAsync(state => state.Index > seenIndex, limit.Token);
        }
        catch (OperationCanceledException) when (!cancellationToken.IsCancellationRequested)
        {
            // The time is up: the caller looks again.
        }
    }
}

/// <summary>A state, and whether states between it and the one before were left out. Without a state: the one before, once more.</summary>
internal readonly record struct FedState(ClusterState? State, bool IsJump);
