using System.Collections.Concurrent;
using System.Diagnostics;
using RaftMirror.ControlPlane.Model;
using RaftMirror.Node.Telemetry;

namespace RaftMirror.Node.Sets;

/// <summary>The spans of an ownership transfer on the nodes that carry it out. The request's trace context stands in the committed
/// transfer, so every node continues the same trace. Enactor thread unless said otherwise.</summary>
internal sealed class TransferSpans(string set, string self)
{
    private readonly ConcurrentDictionary<uint, (ulong Epoch, Activity Span)> _drains = new();
    private readonly ConcurrentDictionary<uint, ulong> _enacted = new();
    private TaskCompletionSource _changed = new(TaskCreationOptions.RunContinuationsAsynchronously);

    /// <summary>Looks at what changed between two states of the set.</summary>
    public void Follow(SetState? before, SetState after)
    {
        foreach (var volume in after.Volumes.Values)
        {
            var old = before?.Volumes.GetValueOrDefault(volume.Name);
            if (volume.Transfer is { } transfer && old?.Transfer?.Epoch != transfer.Epoch && volume.Owner.Node == self)
                BeginDrain(volume, transfer);
            if (old is { Transfer: { } done } && volume.Transfer is null) Settle(volume, done);
            _enacted[volume.Number] = volume.Owner.Epoch;
        }

        Interlocked.Exchange(ref _changed, new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously)).TrySetResult();
    }

    /// <summary>Waits until this node has enacted an owner epoch of a volume, its span included. Any thread.</summary>
    public async Task WaitEnactedAsync(uint volume, ulong epoch, CancellationToken cancellationToken)
    {
        while (true)
        {
            var changed = Volatile.Read(ref _changed).Task; // Before the look: no change is missed.
            if (_enacted.GetValueOrDefault(volume) >= epoch) return;
            await changed.WaitAsync(cancellationToken);
        }
    }

    /// <summary>The old owner's I/O has ended and is flushed. Any thread.</summary>
    public void Drained(uint volume, ulong epoch)
    {
        if (_drains.TryRemove(volume, out var drain)) Close(drain.Span, drain.Epoch == epoch ? null : "superseded");
    }

    private static void Close(Activity span, string? failure)
    {
        if (failure is not null) Tracing.Fail(span, failure, "The drain was overtaken by another change of ownership.");
        span.Stop();
    }

    private void BeginDrain(VolumeState volume, TransferState transfer)
    {
        var ambient = Activity.Current;
        var span = Tracing.StartChild("drain writes", transfer.Traceparent);
        Activity.Current = ambient;
        if (span is null) return;
        Tag(span, volume);
        if (_drains.TryRemove(volume.Number, out var earlier)) Close(earlier.Span, "superseded");
        _drains[volume.Number] = (volume.Owner.Epoch, span);
    }

    private void Settle(VolumeState volume, TransferState done)
    {
        if (_drains.TryRemove(volume.Number, out var drain)) Close(drain.Span, null);
        if (volume.Owner.Node != self || volume.Owner.Epoch != done.Epoch) return;
        var ambient = Activity.Current;
        using (var span = Tracing.StartChild("resume writes", done.Traceparent))
        {
            if (span is not null) Tag(span, volume);
        }

        Activity.Current = ambient;
    }

    private void Tag(Activity span, VolumeState volume) => span
        .SetTag("diskset.name", set)
        .SetTag("volume.name", $"{set}/{volume.Name}")
        .SetTag("owner.epoch", volume.Owner.Epoch)
        .SetTag("raft.node.id", self);
}
