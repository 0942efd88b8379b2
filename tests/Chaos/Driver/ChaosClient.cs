using RaftMirror.Chaos.Node;
using RaftMirror.Linearizability;
using RaftMirror.Linearizability.Models;
using RaftMirror.Primitives;

namespace RaftMirror.Chaos.Driver;

/// <summary>
/// One client: one operation at a time, on any node. Most commands have a session and are repeated, elsewhere too, until an answer comes; some are
/// sent to two nodes at once; some are given up after the first doubt; some have no session and are sent once.
/// </summary>
internal sealed class ChaosClient : IDisposable
{
    private const double NoSession = 0.15;
    private const double SubmittedTwice = 0.1;
    private const double GivesUp = 0.2;
    private static readonly TimeSpan AttemptLimit = TimeSpan.FromSeconds(1);
    private static readonly TimeSpan OperationLimit = TimeSpan.FromSeconds(4);
    private readonly ChaosCluster _cluster;
    private readonly ChaosOptions _options;
    private readonly ChaosReport _report;
    private readonly Xoshiro _random;
    private readonly Dictionary<(int Node, bool IsSecond), NodeConnection> _connections = [];
    private readonly int _id;
    private long _number;
    private string _lastSeen = ObjectStore.None;

    public ChaosClient(int id, ChaosCluster cluster, ChaosOptions options, ChaosReport report)
    {
        _id = id;
        _cluster = cluster;
        _options = options;
        _report = report;
        _random = new Xoshiro(options.Seed * 1000 + (ulong)id);
    }

    /// <summary>Works on a round's objects until it is told to leave; the last operation is finished.</summary>
    public async Task WorkAsync(Round round, CancellationToken leave)
    {
        while (!leave.IsCancellationRequested)
        {
            await StepAsync(round);
            await Task.Delay(_random.Next(_options.ThinkMs + 1), CancellationToken.None); // The client's own rhythm.
        }
    }

    public void Dispose()
    {
        foreach (var connection in _connections.Values) connection.Dispose();
    }

    private async Task StepAsync(Round round)
    {
        var place = _random.Next(Round.Objects);
        var value = $"{_id}.{++_number}";
        switch (_random.Next(4))
        {
            case 0:
                await RegisterAsync(round, round.Key("register", place), value);
                break;
            case 1:
                await TextAsync(round, round.Key("text", place), value + ' ');
                break;
            case 2:
                await QueueAsync(round, round.Key("queue", place), value);
                break;
            default:
                await SetAsync(round, round.Key("set", place), $"{_random.Next(8)}");
                break;
        }
    }

    private async Task RegisterAsync(Round round, string key, string value)
    {
        switch (_random.Next(10))
        {
            case < 5:
                await GetAsync(round, key);
                break;
            case < 8:
                await WriteAsync(round.Values, new KeyValueInput(KeyValueAction.Put, key, value), "put", key, value, ToDone);
                break;
            default:
                var input = new KeyValueInput(KeyValueAction.CompareAndSet, key, value, OrNull(_lastSeen));
                await WriteAsync(round.Values, input, "cas", key, value, result => new KeyValueOutput(null, result == "done"), _lastSeen);
                break;
        }
    }

    private Task TextAsync(Round round, string key, string piece) => _random.Chance(0.5)
        ? WriteAsync(round.Values, new KeyValueInput(KeyValueAction.Append, key, piece), "append", key, piece, ToDone)
        : GetAsync(round, key);

    private Task QueueAsync(Round round, string key, string value) => _random.Chance(0.45)
        ? WriteAsync(round.Queues, new QueueInput(QueueAction.Enqueue, key, value), "enqueue", key, value, _ => new QueueOutput(null))
        : WriteAsync(
            round.Queues, new QueueInput(QueueAction.Dequeue, key), "dequeue", key, ObjectStore.None, result => new QueueOutput(OrNull(result)));

    private Task GetAsync(Round round, string key) => ReadAsync(
        round.Values, new KeyValueInput(KeyValueAction.Get, key), key, state => new KeyValueOutput(OrNull(_lastSeen = state)));

    private Task SetAsync(Round round, string key, string member) => _random.Next(3) switch
    {
        0 => WriteAsync(round.Sets, new SetInput(SetAction.Add, key, member), "add", key, member, result => new SetOutput(result == "changed")),
        1 => WriteAsync(round.Sets, new SetInput(SetAction.Remove, key, member), "remove", key, member, result => new SetOutput(result == "changed")),
        _ => ReadAsync(round.Sets, new SetInput(SetAction.List, key), key, state => new SetOutput(false, OrNull(state) ?? string.Empty)),
    };

    private async Task ReadAsync<TInput, TOutput>(HistoryRecorder<TInput, TOutput> recorder, TInput input, string key, Func<string, TOutput> parse)
    {
        var pending = recorder.Invoke(_id, input);
        using var limit = new CancellationTokenSource(OperationLimit);
        while (!limit.IsCancellationRequested)
        {
            var reply = await AskAsync($"R\t{key}");
            if (reply.Kind == ReplyKind.Done)
            {
                pending.Return(parse(reply.Text));
                _report.CountOutcome(ReplyKind.Done);
                return;
            }
        }

        pending.Refused(); // Nothing was read, and a read changes nothing.
        _report.CountOutcome(ReplyKind.Refused);
    }

    private async Task WriteAsync<TInput, TOutput>(
        HistoryRecorder<TInput, TOutput> recorder, TInput input, string action, string key, string value, Func<string, TOutput> parse,
        string expected = ObjectStore.None)
    {
        var hasSession = !_random.Chance(NoSession);
        var givesUp = !hasSession || _random.Chance(GivesUp);
        var isTwice = hasSession && _random.Chance(SubmittedTwice);
        var line = $"W\t{(hasSession ? _id : 0)}\t{_number}\t{action}\t{key}\t{value}\t{expected}";
        if (isTwice) _report.CountTwice();
        var pending = recorder.Invoke(_id, input);
        var mayHaveHappened = false;
        using var limit = new CancellationTokenSource(OperationLimit);
        while (!limit.IsCancellationRequested)
        {
            var reply = isTwice ? await AskTwiceAsync(line) : await AskAsync(line);
            if (reply.Kind == ReplyKind.Done)
            {
                if (reply.Text == ObjectStore.Late) _report.Failures.Enqueue($"{line}: late, although this client has not moved on.");
                pending.Return(parse(reply.Text));
                _report.CountOutcome(ReplyKind.Done);
                return;
            }

            mayHaveHappened |= reply.Kind == ReplyKind.Unknown;
            if (mayHaveHappened && givesUp) break;
        }

        if (mayHaveHappened) pending.Unknown();
        else pending.Refused();
        _report.CountOutcome(mayHaveHappened ? ReplyKind.Unknown : ReplyKind.Refused);
    }

    private async Task<Reply> AskAsync(string line)
    {
        var reply = await ConnectionTo(_random.Next(_cluster.Nodes.Count), isSecond: false).AskAsync(line, AttemptLimit);
        await BackOffAsync(reply);
        return reply;
    }

    /// <summary>The same command to two nodes, or twice to one: whoever answers, the answer must be the same.</summary>
    private async Task<Reply> AskTwiceAsync(string line)
    {
        var replies = await Task.WhenAll(
            ConnectionTo(_random.Next(_cluster.Nodes.Count), isSecond: false).AskAsync(line, AttemptLimit),
            ConnectionTo(_random.Next(_cluster.Nodes.Count), isSecond: true).AskAsync(line, AttemptLimit));
        if (replies[0].Kind == ReplyKind.Done && replies[1].Kind == ReplyKind.Done && replies[0].Text != replies[1].Text)
            _report.Failures.Enqueue($"{line}: answered \"{replies[0].Text}\" and \"{replies[1].Text}\".");
        var best = replies.MinBy(reply => reply.Kind switch
        {
            ReplyKind.Done => 0,
            ReplyKind.Unknown => 1,
            _ => 2,
        });
        await BackOffAsync(best);
        return best;
    }

    /// <summary>A node that is down refuses at once: no storm of requests.</summary>
    private static Task BackOffAsync(Reply reply) => reply.Kind == ReplyKind.Refused ? Task.Delay(20, CancellationToken.None) : Task.CompletedTask;

    private NodeConnection ConnectionTo(int place, bool isSecond)
    {
        var node = _cluster.Nodes[place];
        if (!_connections.TryGetValue((node, isSecond), out var connection))
            _connections[(node, isSecond)] = connection = new NodeConnection(_cluster, node);
        return connection;
    }

    private static KeyValueOutput ToDone(string result) => new();

    private static string? OrNull(string text) => text == ObjectStore.None ? null : text;
}
