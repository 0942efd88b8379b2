using System.Diagnostics;
using System.Globalization;
using RaftMirror.Benchmarks.Cluster;
using RaftMirror.Consensus.Core;
using RaftMirror.Consensus.Messages;
using RaftMirror.Consensus.Model;
using RaftMirror.Primitives;

namespace RaftMirror.Benchmarks.Core;

/// <summary>`consensus-core`: three cores on one thread, messages handed over by reference, writes done at once, every command
/// applied on all three. What is left is the algorithm's own cost.</summary>
internal static class CoreBenchmark
{
    private const int CommandBytes = 256;

    private static readonly Dictionary<string, string> Defaults = new(StringComparer.Ordinal)
    {
        ["--rounds"] = "5",
        ["--commands"] = "200000",
        ["--batches"] = "1,16,128",
        ["--output"] = "text",
        ["--dir"] = "/var/tmp",
    };

    public static Task<int> RunAsync(string[] args) => BenchmarkSession.RunAsync(args, Defaults, (arguments, _) => Task.FromResult(Run(arguments)));

    private static int Run(BenchmarkArguments arguments)
    {
        var report = new Report(arguments.Text("--output") == "json");
        var commands = arguments.Integer("--commands");
        report.Say("| proposed together | us per command, 3 applies (min-max) | bytes per command |");
        report.Say("|---:|---:|---:|");
        foreach (var batch in arguments.List("--batches").Select(text => int.Parse(text, CultureInfo.InvariantCulture)))
        {
            var times = new List<double>();
            var bytes = new List<double>();
            new CoreTrio().Run(commands / 4, batch); // Compiles.
            for (var round = 0; round < arguments.Integer("--rounds"); round++)
            {
                var trio = new CoreTrio();
                trio.Run(1000, batch);
                GC.Collect();
                var allocated = GC.GetAllocatedBytesForCurrentThread();
                var start = Stopwatch.GetTimestamp();
                trio.Run(commands, batch);
                times.Add(Stopwatch.GetElapsedTime(start).TotalMicroseconds / commands);
                bytes.Add((GC.GetAllocatedBytesForCurrentThread() - allocated) / (double)commands);
            }

            times.Sort();
            bytes.Sort();
            report.Say($"| {batch} | {times[times.Count / 2]:0.00} ({times[0]:0.00}-{times[^1]:0.00}) | {bytes[bytes.Count / 2]:0} |");
            report.Write("core", new { Batch = batch, MicrosecondsPerCommand = times[times.Count / 2], Least = times[0], Most = times[^1], BytesPerCommand = bytes[bytes.Count / 2] });
        }

        return 0;
    }

    private sealed class CoreTrio
    {
        private readonly RaftCore[] _cores = new RaftCore[3];
        private readonly OutboundGate[] _gates = [new(), new(), new()];
        private readonly Queue<Message> _network = new();
        private readonly List<Message> _released = [];
        private readonly ulong[] _applied = new ulong[3];
        private readonly byte[] _command = new byte[CommandBytes];
        private ulong _sequence;

        public CoreTrio()
        {
            var members = new Configuration([new NodeId(1), new NodeId(2), new NodeId(3)]);
            for (var i = 0; i < 3; i++)
                _cores[i] = new RaftCore(new NodeId((ushort)(i + 1)), members, new RaftCoreOptions(), default, [], new Xoshiro((ulong)i + 1), 0);
            _cores[0].Tick(10_000);
            Settle();
            Invariant.Require(_cores[0].Role == RaftRole.Leader, "The only one whose time has come is elected.");
        }

        public void Run(int commands, int batch)
        {
            var proposals = new (ProposalId, ReadOnlyMemory<byte>)[batch];
            var target = _applied[2] + (ulong)commands;
            for (var done = 0; done < commands; done += batch)
            {
                for (var i = 0; i < batch; i++) proposals[i] = (new ProposalId(1, 1, ++_sequence), _command);
                var refusal = _cores[0].Propose(proposals.AsSpan(0, Math.Min(batch, commands - done)), null, out _);
                Invariant.Require(refusal == ProposalRefusal.None, "The leader is idle.");
                Settle();
            }

            Invariant.Require(_applied[0] == _applied[1] && _applied[1] == _applied[2] && _applied[2] >= target, "All nodes applied all of it.");
        }

        /// <summary>Until no core has anything to say.</summary>
        private void Settle()
        {
            do
            {
                while (_network.TryDequeue(out var message)) _cores[message.To.Value - 1].Step(message);
                for (var i = 0; i < 3; i++) Drain(i);
            }
            while (_network.Count > 0);
        }

        private void Drain(int i)
        {
            while (true)
            {
                var ready = _cores[i].TakeReady();
                if (ready is { Messages.Count: 0, Write: null, Committed.Count: 0 }) return;
                foreach (var outbound in ready.Messages) _gates[i].Add(outbound, _released);
                var written = ready.Write?.Sequence;
                foreach (var entry in ready.Committed)
                {
                    Invariant.Require(entry.Index == _applied[i] + 1, "In order, each once.");
                    _applied[i] = entry.Index;
                }

                if (ready.Committed.Count > 0) _cores[i].Applied(_applied[i]);
                if (written is { } sequence)
                {
                    _cores[i].WriteDone(sequence);
                    _gates[i].WriteDone(sequence, _released);
                }

                foreach (var message in _released) _network.Enqueue(message);
                _released.Clear();
            }
        }
    }
}
