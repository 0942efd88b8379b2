using RaftMirror.Linearizability;
using RaftMirror.Linearizability.Models;
using RaftMirror.Primitives;

namespace RaftMirror.Consensus.Tests.Linearizability;

/// <summary>Makes histories by running clients against a correct map: each operation takes effect at one instant between its
/// two stamps, some lose their answer, and of these some never take effect.</summary>
internal static class RandomHistory
{
    private enum Stage
    {
        Idle,
        Asked,
        Done,
    }

    /// <summary>A linearizable history.</summary>
    /// <param name="random">Decides everything.</param>
    /// <param name="clients">How many operations overlap at most, lost ones aside.</param>
    /// <param name="operations">How many there are.</param>
    /// <param name="keys">How many keys.</param>
    /// <param name="lost">How probable it is that an answer is lost.</param>
    /// <param name="values">How many different values are written; 0 makes every one unique.</param>
    public static IReadOnlyList<Operation<KeyValueInput, KeyValueOutput>> Make(
        Xoshiro random, int clients, int operations, int keys, double lost, int values)
    {
        var recorder = new HistoryRecorder<KeyValueInput, KeyValueOutput>();
        var map = new Dictionary<string, string?>();
        var running = new Client[clients];
        var late = new List<KeyValueInput>();
        var asked = 0;
        while (asked < operations || running.Any(client => client.Stage != Stage.Idle))
        {
            if (late.Count > 0 && random.Chance(0.1))
            {
                var index = random.Next(late.Count);
                Apply(map, late[index]);
                late.RemoveAt(index);
            }

            ref var client = ref running[random.Next(clients)];
            switch (client.Stage)
            {
                case Stage.Idle when asked < operations:
                    var input = Input(random, keys, values == 0 ? asked : random.Next(values));
                    client = new Client(Stage.Asked, recorder.Invoke(asked, input), input, null);
                    asked++;
                    break;
                case Stage.Asked when random.Chance(lost):
                    client.Pending.Unknown();
                    if (random.Chance(0.5)) late.Add(client.Input);
                    client = default;
                    break;
                case Stage.Asked:
                    client = client with { Stage = Stage.Done, Output = Apply(map, client.Input) };
                    break;
                case Stage.Done:
                    client.Pending.Return(client.Output!);
                    client = default;
                    break;
            }
        }

        return recorder.Snapshot();
    }

    /// <summary>The same history with one answer changed, or two of them exchanged; it may still be linearizable.</summary>
    public static IReadOnlyList<Operation<KeyValueInput, KeyValueOutput>> Spoil(
        Xoshiro random, IReadOnlyList<Operation<KeyValueInput, KeyValueOutput>> history)
    {
        var spoiled = history.ToList();
        var index = random.Next(spoiled.Count);
        var operation = spoiled[index];
        if (!operation.Answer.IsKnown) return spoiled;
        var answer = operation.Input.Action switch
        {
            KeyValueAction.Get => new KeyValueOutput(random.Chance(0.3) ? null : $"{random.Next(3)};"),
            KeyValueAction.CompareAndSet => new KeyValueOutput(null, !operation.Answer.Value.Succeeded),
            _ => null,
        };
        if (answer is not null) spoiled[index] = operation with { Answer = Answer.Of(answer) };
        else spoiled.RemoveAt(index);
        return spoiled;
    }

    /// <summary>A history of a register in which nothing was run: answers are drawn, so it is often wrong.</summary>
    public static IReadOnlyList<Operation<RegisterInput, RegisterOutput>> MakeRegister(Xoshiro random, int operations)
    {
        const int Values = 3;
        var history = new List<Operation<RegisterInput, RegisterOutput>>();
        for (var i = 0; i < operations; i++)
        {
            var action = (RegisterAction)random.Next(3);
            var input = new RegisterInput(action, random.Next(Values), action == RegisterAction.CompareAndSet ? random.Next(Values) : 0);
            var output = action switch
            {
                RegisterAction.Read => new RegisterOutput(random.Chance(0.2) ? null : random.Next(Values)),
                RegisterAction.Write => new RegisterOutput(null),
                _ => new RegisterOutput(null, random.Chance(0.5)),
            };
            var from = random.Next(2 * operations);
            history.Add(new(i, input, random.Chance(0.3) ? default : Answer.Of(output), from, from + random.Next(6)));
        }

        return history;
    }

    private static KeyValueInput Input(Xoshiro random, int keys, int value)
    {
        var key = $"k{random.Next(keys)}";
        return random.Next(10) switch
        {
            < 4 => new KeyValueInput(KeyValueAction.Get, key),
            < 7 => new KeyValueInput(KeyValueAction.Put, key, $"{value};"),
            < 8 => new KeyValueInput(KeyValueAction.Append, key, $"{value};"),
            _ => new KeyValueInput(KeyValueAction.CompareAndSet, key, $"{value};", $"{random.Next(3)};"),
        };
    }

    private static KeyValueOutput Apply(Dictionary<string, string?> map, KeyValueInput input)
    {
        var state = map.GetValueOrDefault(input.Key);
        switch (input.Action)
        {
            case KeyValueAction.Get:
                return new KeyValueOutput(state);
            case KeyValueAction.CompareAndSet when state != input.Expected:
                return new KeyValueOutput(null, Succeeded: false);
            case KeyValueAction.Append:
                map[input.Key] = state + input.Value;
                return new KeyValueOutput();
            default:
                map[input.Key] = input.Value;
                return new KeyValueOutput();
        }
    }

    private record struct Client(
        Stage Stage, HistoryRecorder<KeyValueInput, KeyValueOutput>.Pending Pending, KeyValueInput Input, KeyValueOutput? Output);
}
