using System.Globalization;
using System.Text;
using RaftMirror.Consensus.Core;
using RaftMirror.Consensus.Messages;

namespace RaftMirror.Consensus.Node;

/// <summary>The last inputs of the core and what it was after each, for whoever must find out why a node stopped by itself. Written by whoever has the
/// core, read when that is over; a failure elsewhere may catch the newest record half written. Adding allocates nothing.</summary>
internal sealed class InputTrace
{
    private const int Length = 4096;
    private readonly Record[] _records = new Record[Length];
    private long _count;

    public void Add(long nowMs, LoopInput input, RaftCore core)
    {
        ref var record = ref _records[_count++ % Length];
        record = new Record
        {
            AtMs = nowMs,
            Input = input.GetType().Name,
            Role = core.Role,
            Term = core.Term,
            Leader = core.Leader?.Value ?? 0,
            Commit = core.Commit,
            Last = core.Log.LastIndex,
            Durable = core.DurableIndex,
        };
        switch (input)
        {
            case LoopInput.Received received:
                record.Message = received.Message with { Entries = default };
                record.Entries = received.Message.Entries.Length;
                break;
            case LoopInput.Written written:
                record.Number = written.Sequence;
                break;
            case LoopInput.Applied applied:
                record.Number = applied.Last.Index;
                break;
        }
    }

    /// <summary>Oldest first, a line each.</summary>
    public string Describe()
    {
        var text = new StringBuilder();
        for (var i = Math.Max(0, _count - Length); i < _count; i++)
        {
            var record = _records[i % Length];
            text.Append(CultureInfo.InvariantCulture, $"{record.AtMs} ms {record.Input}");
            if (record.Input == nameof(LoopInput.Received))
            {
                text.Append(
                    CultureInfo.InvariantCulture,
                    $" {record.Message.Kind} from {record.Message.From} term {record.Message.Term} log {record.Message.Log.Term}.{record.Message.Log.Index} entries {record.Entries} commit {record.Message.Commit} round {record.Message.Round}{(record.Message.Reject ? " refused" : string.Empty)}");
            }
            else if (record.Number > 0)
            {
                text.Append(CultureInfo.InvariantCulture, $" {record.Number}");
            }

            text.Append(
                CultureInfo.InvariantCulture,
                $" → {record.Role} term {record.Term} leader {record.Leader} last {record.Last} durable {record.Durable} commit {record.Commit}\n");
        }

        return text.ToString();
    }

    private struct Record
    {
        public long AtMs;
        public string Input;
        public Message Message;
        public int Entries;
        public ulong Number;
        public RaftRole Role;
        public ulong Term;
        public ushort Leader;
        public ulong Commit;
        public ulong Last;
        public ulong Durable;
    }
}
