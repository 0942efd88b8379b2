using System.Buffers.Binary;
using RaftMirror.Consensus;
using RaftMirror.Primitives;
using RaftMirror.Simulation.Harness;

namespace RaftMirror.Simulation.Consensus;

/// <summary>Commands are numbers, each made once; the state is their order. Nothing acknowledged may be missing at the end, nothing may
/// be there twice, and nothing that nobody proposed.</summary>
internal sealed class CounterWorkload : IWorkload
{
    private readonly Dictionary<ulong, ulong> _acknowledged = [];
    private ulong _made;

    public IStateMachine CreateStateMachine(NodeId node) => new Machine();

    public byte[] NextCommand(NodeId leader, Xoshiro random)
    {
        var command = new byte[8 + random.Next(random.Chance(0.1) ? 4000 : 100)];
        BinaryPrimitives.WriteUInt64LittleEndian(command, ++_made);
        return command;
    }

    public void Acknowledged(ReadOnlyMemory<byte> command, LogPosition position, ReadOnlyMemory<byte> result) =>
        _acknowledged.Add(BinaryPrimitives.ReadUInt64LittleEndian(command.Span), position.Value);

    public void Unknown(ReadOnlyMemory<byte> command)
    {
        // Either way is right; the exactly-once check is the machine's.
    }

    public void Applied(
        NodeId node, IStateMachine stateMachine, LogPosition position, ReadOnlyMemory<byte> command, ReadOnlyMemory<byte> result) =>
        ClusterChecker.Require(
            BinaryPrimitives.ReadUInt64LittleEndian(command.Span) <= _made, $"node {node} applied a command that nobody proposed");

    public void CheckEnd(IReadOnlyList<IStateMachine> stateMachines)
    {
        foreach (var machine in stateMachines.Cast<Machine>())
        {
            foreach (var (number, position) in _acknowledged)
            {
                ClusterChecker.Require(
                    machine.Positions.TryGetValue(number, out var at) && at == position, $"acknowledged command {number} at {position} is lost");
            }
        }
    }

    private sealed class Machine : IStateMachine
    {
        private uint _digest;

        public Dictionary<ulong, ulong> Positions { get; } = [];

        public ReadOnlyMemory<byte> Apply(LogPosition position, ulong epoch, ReadOnlySpan<byte> command)
        {
            var number = BinaryPrimitives.ReadUInt64LittleEndian(command);
            ClusterChecker.Require(Positions.TryAdd(number, position.Value), $"command {number} was applied twice");
            _digest = Crc32C.Append(_digest, command);
            return BitConverter.GetBytes(_digest);
        }

        public ulong StateHash => ((ulong)Positions.Count << 32) | _digest;

        public ISnapshotSource BeginSnapshot() => new Snapshot(_digest, [.. Positions.OrderBy(pair => pair.Key)]);

        public void Restore(Stream content)
        {
            using var reader = new BinaryReader(content);
            Positions.Clear();
            _digest = reader.ReadUInt32();
            for (var count = reader.ReadInt32(); count > 0; count--) Positions.Add(reader.ReadUInt64(), reader.ReadUInt64());
        }

        private sealed class Snapshot(uint digest, KeyValuePair<ulong, ulong>[] positions) : ISnapshotSource
        {
            public void WriteTo(Stream destination)
            {
                using var writer = new BinaryWriter(destination);
                writer.Write(digest);
                writer.Write(positions.Length);
                foreach (var (number, position) in positions)
                {
                    writer.Write(number);
                    writer.Write(position);
                }
            }
        }
    }
}
