using System.Globalization;
using System.Text.RegularExpressions;
using RaftMirror.Linearizability;
using RaftMirror.Linearizability.Models;

namespace RaftMirror.Consensus.Tests.Linearizability;

/// <summary>Reads what Jepsen wrote of etcd: "INFO  jepsen.util - client :event :operation value" per line. An :info is
/// an unknown outcome; the client goes on under another number. A read that timed out read nothing and is left out.
/// Nothing is skipped silently: a line that is not understood throws.</summary>
internal static partial class JepsenHistory
{
    public static IReadOnlyList<Operation<RegisterInput, RegisterOutput>> Parse(IEnumerable<string> lines)
    {
        var recorder = new HistoryRecorder<RegisterInput, RegisterOutput>();
        var open = new Dictionary<int, HistoryRecorder<RegisterInput, RegisterOutput>.Pending>();
        foreach (var line in lines)
        {
            var match = Line().Match(line);
            if (!match.Success) throw new FormatException($"Not a line of a history: '{line}'");
            var client = Number(match.Groups["client"].Value);
            var value = match.Groups["value"].Value;
            var kind = match.Groups["event"].Value;
            var operation = match.Groups["operation"].Value;
            if (kind == "invoke")
            {
                open.Add(client, recorder.Invoke(client, Input(operation, value)));
                continue;
            }

            if (!open.Remove(client, out var pending)) throw new FormatException($"Nothing was asked: '{line}'");
            switch (kind, operation, value)
            {
                case ("ok", "read", _):
                    pending.Return(new RegisterOutput(value == "nil" ? null : Number(value)));
                    break;
                case ("ok", "write" or "cas", _):
                    pending.Return(new RegisterOutput(null));
                    break;
                case ("fail", "cas", not ":timed-out"):
                    pending.Return(new RegisterOutput(null, Succeeded: false));
                    break;
                case ("fail", "read", ":timed-out"):
                    pending.Refused();
                    break;
                case ("info", _, ":timed-out"):
                    pending.Unknown();
                    break;
                default:
                    throw new FormatException($"Not an outcome: '{line}'");
            }
        }

        return recorder.Snapshot();
    }

    private static RegisterInput Input(string operation, string value)
    {
        switch (operation)
        {
            case "read":
                return new RegisterInput(RegisterAction.Read);
            case "write":
                return new RegisterInput(RegisterAction.Write, Number(value));
            default:
                var pair = value.Trim('[', ']').Split(' ');
                return new RegisterInput(RegisterAction.CompareAndSet, Number(pair[1]), Number(pair[0]));
        }
    }

    private static int Number(string text) => int.Parse(text, NumberStyles.None, CultureInfo.InvariantCulture);

    [GeneratedRegex(
        @"^INFO  jepsen\.util - (?<client>\d+)\s+:(?<event>invoke|ok|fail|info)\s+:"
        + @"(?<operation>read|write|cas)\s+(?<value>nil|\d+|\[\d+ \d+\]|:timed-out)$")]
    private static partial Regex Line();
}
