using System.Buffers.Binary;
using System.Collections.Immutable;
using System.Security.Cryptography;
using RaftMirror.Consensus;
using RaftMirror.Consensus.Model;
using RaftMirror.ControlPlane.Commands;
using RaftMirror.ControlPlane.Events;
using RaftMirror.ControlPlane.History;
using RaftMirror.ControlPlane.Model;
using RaftMirror.ControlPlane.Snapshots;
using RaftMirror.Primitives;

namespace RaftMirror.ControlPlane;

/// <summary>One applied entry, for those who follow the state.</summary>
/// <param name="Position">Its place.</param>
/// <param name="State">The state after it.</param>
/// <param name="Events">What happened; empty for refusals and repeats.</param>
public sealed record AppliedEntry(LogPosition Position, ClusterState State, ImmutableArray<EventRecord> Events);

/// <summary>The replicated state machine. The engine's apply thread calls <see cref="Apply"/>; everything else is for any thread.</summary>
public sealed class ControlPlaneMachine : IStateMachine
{
    private volatile ClusterState _state;

    /// <summary>Starts from the empty state.</summary>
    public ControlPlaneMachine()
        : this(ClusterState.Empty)
    {
    }

    /// <summary>Starts from a snapshot.</summary>
    public ControlPlaneMachine(ClusterState state) => _state = state;

    /// <inheritdoc/>
    public ulong StateHash => BinaryPrimitives.ReadUInt64LittleEndian(Convert.FromHexString(_state.ChainHash.AsSpan(0, 16)));

    /// <summary>The state after the newest applied entry.</summary>
    public ClusterState State => _state;

    /// <summary>The newest events.</summary>
    public EventHistory History { get; } = new();

    /// <summary>Raised after each entry, on the apply thread: return soon, do not throw.</summary>
    public event Action<AppliedEntry>? Applied;

    /// <summary>Raised after a snapshot has replaced the state, with the new one; on the thread that restores: return soon, do not throw.
    /// Entries between the old and the new state are never raised one by one.</summary>
    public event Action<ClusterState>? Restored;

    /// <inheritdoc/>
    /// <exception cref="InvariantException">The entry cannot be understood, or is out of order: this node must stop.</exception>
    public ReadOnlyMemory<byte> Apply(LogPosition position, ulong epoch, ReadOnlySpan<byte> command)
    {
        var (state, result, events) = Step(_state, position.Value, command);
        _state = state;
        History.Add(events);
        Applied?.Invoke(new AppliedEntry(position, state, events));
        return result;
    }

    /// <inheritdoc/>
    public ISnapshotSource BeginSnapshot()
    {
        var (events, goneThrough) = History.Capture();
        return new MachineSnapshot(_state, events, goneThrough);
    }

    /// <inheritdoc/>
    public void Restore(Stream content)
    {
        var (state, events, goneThrough) = MachineSnapshot.Read(content);
        _state = state;
        History.Replace(events, goneThrough);
        Restored?.Invoke(state);
    }

    /// <summary>Applies one entry to a state: pure, the same on every node.</summary>
    public static (ClusterState State, byte[] Result, ImmutableArray<EventRecord> Events) Step(
        ClusterState state, ulong index, ReadOnlySpan<byte> command)
    {
        Invariant.Require(index > state.Index, "Entries are applied once, in order.");
        var envelope = CommandCodec.Decode(command);
        var decision = Decider.Decide(state, envelope, index);
        var atMs = decision.AtMs;
        var requests = decision.State.Requests.Expire(atMs);
        if (decision.IsRemembered) requests = requests.Add(new RequestRecord(envelope.Id, atMs, decision.Result, envelope.Digest)).Expire(atMs);
        var result = CommandCodec.EncodeResult(decision.Result);
        var next = decision.State with
        {
            Index = index,
            LogTimeMs = atMs,
            Requests = requests,
            ChainHash = Chain(state.ChainHash, index, command, result, decision.Events),
        };
        return (next, result, decision.Events);
    }

    private static string Chain(
        string previous, ulong index, ReadOnlySpan<byte> command, byte[] result, ImmutableArray<EventRecord> events)
    {
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        hash.AppendData(Convert.FromHexString(previous));
        Span<byte> number = stackalloc byte[8];
        BinaryPrimitives.WriteUInt64LittleEndian(number, index);
        hash.AppendData(number);
        Append(hash, command);
        Append(hash, result);
        foreach (var record in events) Append(hash, EventJson.Encode(record));
        return Convert.ToHexStringLower(hash.GetHashAndReset());
    }

    /// <summary>Length first, so that no two lists of parts look alike.</summary>
    private static void Append(IncrementalHash hash, ReadOnlySpan<byte> part)
    {
        Span<byte> length = stackalloc byte[4];
        BinaryPrimitives.WriteInt32LittleEndian(length, part.Length);
        hash.AppendData(length);
        hash.AppendData(part);
    }
}
