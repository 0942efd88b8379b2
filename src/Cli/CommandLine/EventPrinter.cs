using System.Globalization;
using System.Text.Json;
using RaftMirror.Cli.Rendering;
using RaftMirror.Contracts;
using RaftMirror.Contracts.Client;

namespace RaftMirror.Cli.CommandLine;

/// <summary>Reading and printing events.</summary>
internal static class EventPrinter
{
    private static readonly string[] Columns = ["index", "seq", "at", "type", "command", "by"];

    /// <summary>All events above an index that are there now.</summary>
    public static async Task<IReadOnlyList<JsonElement>> ReadAllAsync(ApiClient client, ulong since, CancellationToken cancellationToken)
    {
        var all = new List<JsonElement>();
        while (true)
        {
            var page = await client.EventsAsync(since, TimeSpan.Zero, cancellationToken);
            if (page.Events.Count == 0) return all;
            all.AddRange(page.Events);
            since = page.NextSince;
        }
    }

    public static void Write(CliContext context, IReadOnlyList<JsonElement> events)
    {
        if (context.Format == OutputFormat.Json)
        {
            context.WriteJson(events, ReportJson.Indented.IReadOnlyListJsonElement);
            return;
        }

        foreach (var item in events) WriteOne(context, item);
    }

    public static void WriteOne(CliContext context, JsonElement item)
    {
        if (context.IsJson)
        {
            context.WriteJson(item, ApiJson.Line.JsonElement);
            return;
        }

        var rest = item.EnumerateObject().Where(property => !Columns.Contains(property.Name) && property.Value.ValueKind != JsonValueKind.Null)
            .Select(property => $"{property.Name}={Plain(property.Value)}");
        context.Terminal.Out.WriteLine(
            $"{item.GetProperty("index").GetUInt64(),8}  {Time(item)}  {item.GetProperty("type").GetString(),-24}  {string.Join(' ', rest)}");
    }

    private static string Plain(JsonElement value) => value.ValueKind == JsonValueKind.String ? value.GetString()! : value.GetRawText();

    private static string Time(JsonElement item)
    {
        var at = item.GetProperty("at");
        var time = at.ValueKind == JsonValueKind.Number
            ? DateTimeOffset.FromUnixTimeMilliseconds(at.GetInt64())
            : DateTimeOffset.Parse(at.GetString()!, CultureInfo.InvariantCulture);
        return time.ToLocalTime().ToString("yyyy-MM-dd HH:mm:ss.fff zzz", CultureInfo.InvariantCulture);
    }
}
