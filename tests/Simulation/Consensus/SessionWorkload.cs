using System.Buffers.Binary;
using RaftMirror.Consensus;
using RaftMirror.Consensus.Model;
using RaftMirror.Primitives;
using RaftMirror.Simulation.Harness;

namespace RaftMirror.Simulation.Consensus;

/// <summary>Clients number their commands and repeat what they do not know the outcome of; the replicated state knows each client's last
/// number. Nothing acknowledged may be missing, nothing may take effect twice or elsewhere on another node, no read may miss what was
/// acknowledged before it began.</summary>
/// <param name="ballastBytes">Added to each snapshot: large ones are under way when connections and processes end.</param>
internal sealed class SessionWorkload(int ballastBytes = 0) : IWorkload
{
    private const int Clients = 12;
    private const int RepeatAfterMs = 700;
    private readonly Client[] _clients = [.. Enumerable.Range(0, Clients).Select(_ => new Client())];
    private readonly Dictionary<(int, ulong), ulong> _effects = [];
    private IClusterAccess? _cluster;

    public bool IsElastic => true;

    public int SnapshotBytes => ballastBytes;

    public string Summary => $", {_clients.Sum(client => (long)client.Repeats)} repeats";

    public void Attach(IClusterAccess cluster) => _cluster = cluster;

    public IStateMachine CreateStateMachine(NodeId node) => new Machine(ballastBytes);

    public byte[]? NextCommand(NodeId leader, Xoshiro random)
    {
        var number = random.Next(Clients);
        var client = _clients[number];
        if (client.Pending is { } again)
        {
            if (_cluster!.NowMs < client.RepeatAtMs) return null;
            client.RepeatAtMs = _cluster.NowMs + RepeatAfterMs;
            client.Repeats++;
            return again;
        }

        if (_cluster!.IsResting) return null;
        var command = new byte[16 + random.Next(random.Chance(0.1) ? 4000 : 100)];
        BinaryPrimitives.WriteInt32LittleEndian(command, number);
        BinaryPrimitives.WriteUInt64LittleEndian(command.AsSpan(8), ++client.Made);
        client.Pending = command;
        client.RepeatAtMs = _cluster.NowMs + RepeatAfterMs;
        return command;
    }

    public void Acknowledged(ReadOnlyMemory<byte> command, LogPosition position, ReadOnlyMemory<byte> result)
    {
        var (number, sequence) = Decode(command.Span);
        var client = _clients[number];
        if (sequence != client.Acknowledged + 1) return; // Both copies of a repeated command are answered.
        ClusterChecker.Require(
            BinaryPrimitives.ReadUInt64LittleEndian(result.Span) == sequence, $"client {number}: command {sequence} was acknowledged and has no effect");
        client.Acknowledged = sequence;
        client.Pending = null;
    }

    public void Unknown(ReadOnlyMemory<byte> command)
    {
        var (number, sequence) = Decode(command.Span);
        if (_clients[number].Pending is not null && _clients[number].Made == sequence) _clients[number].RepeatAtMs = _cluster!.NowMs;
    }

    public void Applied(
        NodeId node, IStateMachine stateMachine, LogPosition position, ReadOnlyMemory<byte> command, ReadOnlyMemory<byte> result)
    {
        var (number, sequence) = Decode(command.Span);
        ClusterChecker.Require(sequence <= _clients[number].Made, $"node {node} applied a command that nobody proposed");
        if (BinaryPrimitives.ReadUInt64LittleEndian(result.Span) != sequence) return;
        var first = BinaryPrimitives.ReadUInt64LittleEndian(result.Span[8..]);
        ClusterChecker.Require(
            _effects.TryAdd((number, sequence), first) || _effects[(number, sequence)] == first,
            $"14 exactly once: command {sequence} of client {number} took effect at {_effects[(number, sequence)]}, on node {node} at {first}");
    }

    public void Corrupt(IStateMachine stateMachine) => ((Machine)stateMachine).Corrupt();

    public Action<IStateMachine>? ReadBegun(Xoshiro random)
    {
        var number = random.Next(Clients);
        var floor = _clients[number].Acknowledged;
        return machine => ClusterChecker.Require(
            ((Machine)machine).LastOf(number) >= floor,
            $"14 linearizable reads: {((Machine)machine).LastOf(number)} was read of client {number}, {floor} was acknowledged before the read began");
    }

    public string? Unsettled(IStateMachine leader)
    {
        var waiting = Array.FindIndex(_clients, client => client.Pending is not null);
        return waiting < 0 ? null : $"an answer to client {waiting}";
    }

    public void CheckEnd(IReadOnlyList<IStateMachine> stateMachines)
    {
        for (var number = 0; number < Clients; number++)
        {
            foreach (var machine in stateMachines.Cast<Machine>())
            {
                ClusterChecker.Require(
                    machine.LastOf(number) >= _clients[number].Acknowledged,
                    $"14 lost: client {number} was acknowledged {_clients[number].Acknowledged}, the state knows {machine.LastOf(number)}");
            }
        }

        ClusterChecker.Require(
            stateMachines.Select(machine => machine.StateHash).Distinct().Count() == 1, "5 state machine safety: the states at the end differ");
    }

    private static (int Client, ulong Sequence) Decode(ReadOnlySpan<byte> command) =>
        (BinaryPrimitives.ReadInt32LittleEndian(command), BinaryPrimitives.ReadUInt64LittleEndian(command[8..]));

    private sealed class Client
    {
        public ulong Made { get; set; }

        public ulong Acknowledged { get; set; }

        public byte[]? Pending { get; set; }

        public long RepeatAtMs { get; set; }

        public int Repeats { get; set; }
    }

    /// <summary>Result: 8 bytes last number of the client, 8 bytes where it took effect, 8 bytes hash of the state.</summary>
    private sealed class Machine(int ballastBytes) : IStateMachine
    {
        private readonly ulong[] _last = new ulong[Clients];
        private readonly ulong[] _at = new ulong[Clients];
        private ulong _digest;

        public ulong StateHash => _digest;

        public ulong LastOf(int client) => _last[client];

        public void Corrupt() => _digest ^= 1UL << 17;

        public ReadOnlyMemory<byte> Apply(LogPosition position, ulong epoch, ReadOnlySpan<byte> command)
        {
            var (client, sequence) = Decode(command);
            if (sequence == _last[client] + 1)
            {
                _last[client] = sequence;
                _at[client] = position.Value;
                _digest = (_digest * 6364136223846793005) + Crc32C.Compute(command) + position.Value;
            }

            var result = new byte[24];
            BinaryPrimitives.WriteUInt64LittleEndian(result, _last[client]);
            BinaryPrimitives.WriteUInt64LittleEndian(result.AsSpan(8), _at[client]);
            BinaryPrimitives.WriteUInt64LittleEndian(result.AsSpan(16), _digest);
            return result;
        }

        public ISnapshotSource BeginSnapshot() => new Snapshot(_digest, [.. _last], [.. _at], ballastBytes);

        public void Restore(Stream content)
        {
            using var reader = new BinaryReader(content, System.Text.Encoding.UTF8, leaveOpen: true);
            _digest = reader.ReadUInt64();
            for (var client = 0; client < Clients; client++)
            {
                _last[client] = reader.ReadUInt64();
                _at[client] = reader.ReadUInt64();
            }

            for (var i = 0; i < ballastBytes; i += sizeof(ulong))
                ClusterChecker.Require(reader.ReadUInt64() == _digest + (ulong)i, "17 identical snapshots: a byte of a restored one is wrong");
        }

        private sealed class Snapshot(ulong digest, ulong[] last, ulong[] at, int ballastBytes) : ISnapshotSource
        {
            public void WriteTo(Stream destination)
            {
                using var writer = new BinaryWriter(destination, System.Text.Encoding.UTF8, leaveOpen: true);
                writer.Write(digest);
                for (var client = 0; client < Clients; client++)
                {
                    writer.Write(last[client]);
                    writer.Write(at[client]);
                }

                for (var i = 0; i < ballastBytes; i += sizeof(ulong)) writer.Write(digest + (ulong)i);
            }
        }
    }
}
