using System.Buffers.Binary;
using System.Collections.Frozen;
using System.Text.Json;
using System.Text.Json.Serialization.Metadata;
using RaftMirror.Consensus;
using RaftMirror.ControlPlane.Events;
using RaftMirror.ControlPlane.Model;

namespace RaftMirror.ControlPlane.Snapshots;

/// <summary>State and newest events as the engine keeps and sends them: two parts, each 4 bytes of length (little-endian) and canonical
/// JSON. First the state, then {"goneThrough":N,"events":[{"index","seq","at","command","by","traceparent"?,"type","event"}]}.</summary>
internal sealed class MachineSnapshot(ClusterState state, EventRecord[] events, ulong goneThrough) : ISnapshotSource
{
    /// <summary>A part that claims to be longer than this is damage.</summary>
    private const int MaxPartBytes = 1 << 30;

    private static readonly FrozenDictionary<string, JsonTypeInfo> Types = typeof(ClusterEvent).Assembly.GetTypes()
        .Where(static type => type.IsSubclassOf(typeof(ClusterEvent)) && !type.IsAbstract)
        .ToFrozenDictionary(static type => type.Name, static type => ControlPlaneJson.Contract.GetTypeInfo(type), StringComparer.Ordinal);

    /// <inheritdoc/>
    public void WriteTo(Stream destination)
    {
        WritePart(destination, StateCodec.Encode(state));
        WritePart(destination, EncodeEvents());
    }

    /// <summary>Reads what <see cref="WriteTo"/> wrote.</summary>
    /// <exception cref="InvalidDataException">It is something else.</exception>
    public static (ClusterState State, IReadOnlyList<EventRecord> Events, ulong GoneThrough) Read(Stream content)
    {
        try
        {
            var state = StateCodec.Decode(ReadPart(content));
            using var document = JsonDocument.Parse(ReadPart(content));
            if (content.ReadByte() >= 0) throw new InvalidDataException("Bytes follow the last part of a state snapshot.");
            var events = document.RootElement.GetProperty("events").EnumerateArray().Select(DecodeEvent).ToArray();
            return (state, events, document.RootElement.GetProperty("goneThrough").GetUInt64());
        }
        catch (Exception broken) when (broken is JsonException or KeyNotFoundException or FormatException or InvalidOperationException or EndOfStreamException)
        {
            throw new InvalidDataException($"No state snapshot: {broken.Message}", broken);
        }
    }

    private byte[] EncodeEvents()
    {
        using var buffer = new MemoryStream();
        using (var writer = new Utf8JsonWriter(buffer, new JsonWriterOptions { Encoder = ControlPlaneJson.Contract.Encoder }))
        {
            writer.WriteStartObject();
            writer.WriteNumber("goneThrough", goneThrough);
            writer.WriteStartArray("events");
            foreach (var record in events) Write(writer, record);
            writer.WriteEndArray();
            writer.WriteEndObject();
        }

        return buffer.ToArray();
    }

    private static void Write(Utf8JsonWriter writer, EventRecord record)
    {
        var type = record.Event.GetType().Name;
        writer.WriteStartObject();
        writer.WriteNumber("index", record.Index);
        writer.WriteNumber("seq", record.Seq);
        writer.WriteNumber("at", record.AtMs);
        writer.WriteString("command", record.CommandId);
        writer.WriteString("by", record.By);
        if (record.Traceparent is { } traceparent) writer.WriteString("traceparent", traceparent);
        writer.WriteString("type", type);
        writer.WritePropertyName("event");
        JsonSerializer.Serialize(writer, record.Event, Types[type]);
        writer.WriteEndObject();
    }

    private static EventRecord DecodeEvent(JsonElement element)
    {
        var type = element.GetProperty("type").GetString()!;
        if (!Types.TryGetValue(type, out var info)) throw new JsonException($"Event {type} is not known to this version.");
        return new EventRecord(
            element.GetProperty("index").GetUInt64(),
            element.GetProperty("seq").GetInt32(),
            element.GetProperty("at").GetInt64(),
            element.GetProperty("command").GetGuid(),
            element.GetProperty("by").GetString()!,
            element.TryGetProperty("traceparent", out var trace) ? trace.GetString() : null,
            (ClusterEvent?)element.GetProperty("event").Deserialize(info) ?? throw new JsonException("An event has a body."));
    }

    private static void WritePart(Stream destination, byte[] part)
    {
        Span<byte> length = stackalloc byte[4];
        BinaryPrimitives.WriteInt32LittleEndian(length, part.Length);
        destination.Write(length);
        destination.Write(part);
    }

    private static byte[] ReadPart(Stream content)
    {
        Span<byte> length = stackalloc byte[4];
        content.ReadExactly(length);
        var bytes = BinaryPrimitives.ReadInt32LittleEndian(length);
        if (bytes is < 0 or > MaxPartBytes) throw new InvalidDataException($"A part of {bytes} bytes in a state snapshot.");
        var part = new byte[bytes];
        content.ReadExactly(part);
        return part;
    }
}
