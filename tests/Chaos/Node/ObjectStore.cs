using System.Text;
using RaftMirror.Consensus;
using RaftMirror.Consensus.Model;
using RaftMirror.Primitives;

namespace RaftMirror.Chaos.Node;

/// <summary>
/// What the nodes replicate: registers, texts, queues and sets by key, and for each client the number and result of its last command (thesis
/// 6.3): a command that comes twice is executed once. Written without the checker's models, so that no mistake is in both.
///
/// A command is text, its fields apart by tabs: client, number, action, key, value, expected. Client 0 has no session. "~" is no value.
/// Applied by one thread, read by any.
/// </summary>
/// <param name="hasSessions">False: a bug for the harness to find, each copy is executed.</param>
internal sealed class ObjectStore(bool hasSessions = true) : IStateMachine
{
    public const string None = "~";

    /// <summary>The answer to a command whose client has moved on: it was not executed.</summary>
    public const string Late = "late";

    private readonly Lock _gate = new();
    private readonly Dictionary<string, string> _values = new(StringComparer.Ordinal);
    private readonly Dictionary<int, (long Number, string Result)> _sessions = [];
    private ulong _hash;
    private ulong _applied;
    private long _repeats;

    public ulong StateHash
    {
        get
        {
            lock (_gate) return _hash;
        }
    }

    /// <summary>The last position applied, the state's hash there, and how many commands came again.</summary>
    public (ulong Applied, ulong Hash, long Repeats) Mark
    {
        get
        {
            lock (_gate) return (_applied, _hash, _repeats);
        }
    }

    public ReadOnlyMemory<byte> Apply(LogPosition position, ulong epoch, ReadOnlySpan<byte> command)
    {
        var fields = Encoding.UTF8.GetString(command).Split('\t');
        lock (_gate)
        {
            var result = Execute(int.Parse(fields[0]), long.Parse(fields[1]), fields.AsSpan(2));
            _applied = position.Value;
            _hash = (((_hash * 31) + Crc32C.Compute(command)) * 31) + Crc32C.Compute(Encoding.UTF8.GetBytes(result));
            return Encoding.UTF8.GetBytes(result);
        }
    }

    /// <summary>The state of an object as it is here and now.</summary>
    public string Read(string key)
    {
        lock (_gate) return _values.GetValueOrDefault(key, None);
    }

    /// <summary>What a command would answer if it were applied now; changes nothing.</summary>
    public string Guess(string command)
    {
        var fields = command.Split('\t');
        lock (_gate) return Do(fields[2], _values.GetValueOrDefault(fields[3]), fields[4], fields[5]).Result;
    }

    public ISnapshotSource BeginSnapshot()
    {
        lock (_gate)
        {
            return new View(
                _hash, _applied, _repeats, [.. _values.OrderBy(pair => pair.Key, StringComparer.Ordinal)], [.. _sessions.OrderBy(pair => pair.Key)]);
        }
    }

    public void Restore(Stream content)
    {
        using var reader = new BinaryReader(content, Encoding.UTF8, leaveOpen: true);
        lock (_gate)
        {
            _values.Clear();
            _sessions.Clear();
            _hash = reader.ReadUInt64();
            _applied = reader.ReadUInt64();
            _repeats = reader.ReadInt64();
            for (var count = reader.ReadInt32(); count > 0; count--) _values.Add(reader.ReadString(), reader.ReadString());
            for (var count = reader.ReadInt32(); count > 0; count--) _sessions.Add(reader.ReadInt32(), (reader.ReadInt64(), reader.ReadString()));
        }
    }

    private string Execute(int client, long number, ReadOnlySpan<string> fields)
    {
        var key = fields[1];
        if (client != 0 && hasSessions && _sessions.TryGetValue(client, out var last))
        {
            if (number <= last.Number) _repeats++;
            if (number == last.Number) return last.Result;
            if (number < last.Number) return Late;
        }

        var (value, result) = Do(fields[0], _values.GetValueOrDefault(key), fields[2], fields[3]);
        if (value is null) _values.Remove(key);
        else _values[key] = value;
        if (client != 0) _sessions[client] = (number, result);
        return result;
    }

    private static (string? Value, string Result) Do(string action, string? state, string value, string expected)
    {
        switch (action)
        {
            case "put":
                return (value, "done");
            case "append":
                return (state + value, "done");
            case "cas":
                return (state ?? None) == expected ? (value, "done") : (state, "other");
            case "enqueue":
                return ($"{state}{value},", "done");
            case "dequeue":
                if (string.IsNullOrEmpty(state)) return (state, None);
                var end = state.IndexOf(',', StringComparison.Ordinal);
                return (state[(end + 1)..], state[..end]);
            case "add" or "remove":
                List<string> values = [.. (state ?? string.Empty).Split(',', StringSplitOptions.RemoveEmptyEntries)];
                var isThere = values.Contains(value);
                if (isThere == (action == "add")) return (state, "same");
                if (isThere) values.Remove(value);
                else values.Add(value);
                values.Sort(StringComparer.Ordinal);
                return (string.Concat(values.Select(item => item + ",")), "changed");
            default:
                throw new InvalidOperationException($"\"{action}\" is no action.");
        }
    }

    private sealed class View(
        ulong hash, ulong applied, long repeats, KeyValuePair<string, string>[] values, KeyValuePair<int, (long Number, string Result)>[] sessions)
        : ISnapshotSource
    {
        public void WriteTo(Stream destination)
        {
            using var writer = new BinaryWriter(destination, Encoding.UTF8, leaveOpen: true);
            writer.Write(hash);
            writer.Write(applied);
            writer.Write(repeats);
            writer.Write(values.Length);
            foreach (var (key, value) in values)
            {
                writer.Write(key);
                writer.Write(value);
            }

            writer.Write(sessions.Length);
            foreach (var (client, (number, result)) in sessions)
            {
                writer.Write(client);
                writer.Write(number);
                writer.Write(result);
            }
        }
    }
}
