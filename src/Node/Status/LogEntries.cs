using System.Text;
using System.Text.Json;
using RaftMirror.Consensus.Node;
using RaftMirror.Contracts;

namespace RaftMirror.Node.Status;

/// <summary>Entries of the log as they are shown. Pure.</summary>
internal static class LogEntries
{
    /// <summary>One entry.</summary>
    /// <param name="entry">As the engine has it.</param>
    /// <param name="committed">Highest index known to be committed.</param>
    /// <param name="nameOf">Name of a member; null if it is not known.</param>
    public static RaftLogEntry Shown(LogEntryView entry, ulong committed, Func<ushort, string?> nameOf)
    {
        JsonElement? command = null;
        string? type = null;
        if (entry.Kind == "command")
        {
            try
            {
                command = JsonSerializer.Deserialize(entry.Payload.Span, ApiJson.Default.JsonElement);
                type = command.Value.ValueKind == JsonValueKind.Object && command.Value.TryGetProperty("type", out var word) ? word.GetString() : null;
            }
            catch (JsonException)
            {
                type = "(no JSON)"; // Shown as it is: this is where one looks when something is wrong.
            }
        }

        return new RaftLogEntry(
            entry.Index, entry.Term, entry.Kind, entry.Proposer is { } id ? nameOf(id) ?? id.ToString() : null, entry.Bytes, entry.Index <= committed,
            type, entry.Kind == "configuration" ? Encoding.UTF8.GetString(entry.Payload.Span) : null, command);
    }
}
