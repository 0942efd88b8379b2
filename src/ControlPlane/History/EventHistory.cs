using System.Collections.Immutable;
using RaftMirror.ControlPlane.Events;

namespace RaftMirror.ControlPlane.History;

/// <summary>The newest events, bounded. The apply thread adds; any thread reads.</summary>
public sealed class EventHistory
{
    /// <summary>Most events kept. They are part of snapshots, and the same on every node.</summary>
    public const int MaxEvents = 10_000;

    private readonly Lock _lock = new();
    private readonly Queue<EventRecord> _events = new();
    private ulong _goneThrough;

    /// <summary>Adds the events of one position.</summary>
    internal void Add(ImmutableArray<EventRecord> events)
    {
        lock (_lock)
        {
            foreach (var record in events)
            {
                if (!record.Event.IsRoutine) _events.Enqueue(record);
            }

            while (_events.Count > MaxEvents) _goneThrough = _events.Dequeue().Index;
        }
    }

    /// <summary>All of it, as it is now.</summary>
    internal (EventRecord[] Events, ulong GoneThrough) Capture()
    {
        lock (_lock) return ([.. _events], _goneThrough);
    }

    /// <summary>Puts another history in place.</summary>
    internal void Replace(IEnumerable<EventRecord> events, ulong goneThrough)
    {
        lock (_lock)
        {
            _events.Clear();
            foreach (var record in events) _events.Enqueue(record);
            _goneThrough = goneThrough;
        }
    }

    /// <summary>Events after a log index, oldest first.</summary>
    /// <param name="sinceIndex">0 for all.</param>
    /// <param name="limit">Most events returned, the oldest ones.</param>
    /// <param name="goneThrough">Events up to this index may be missing, because history is bounded; if it is above
    /// <paramref name="sinceIndex"/>, say so. 0: nothing is missing.</param>
    public IReadOnlyList<EventRecord> Read(ulong sinceIndex, int limit, out ulong goneThrough)
    {
        lock (_lock)
        {
            goneThrough = _goneThrough;
            return [.. _events.Where(e => e.Index > sinceIndex).Take(limit)];
        }
    }
}
