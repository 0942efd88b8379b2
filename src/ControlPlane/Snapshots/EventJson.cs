using System.Buffers;
using System.Text.Json;
using RaftMirror.ControlPlane.Events;

namespace RaftMirror.ControlPlane.Snapshots;

/// <summary>Events as scripts see them (design §13): one flat object each, {index, seq, at, type, command, by, …}; "at" is unix ms of
/// log time. Any thread.</summary>
public static class EventJson
{
    /// <summary>One event on one line, without a line end.</summary>
    public static byte[] Encode(EventRecord record)
    {
        var buffer = new ArrayBufferWriter<byte>(256);
        using (var writer = new Utf8JsonWriter(buffer, new JsonWriterOptions { Encoder = ControlPlaneJson.Contract.Encoder }))
            Write(writer, record);
        return buffer.WrittenSpan.ToArray();
    }

    /// <summary>Writes one event as an object.</summary>
    public static void Write(Utf8JsonWriter writer, EventRecord record)
    {
        var type = record.Event.GetType();
        writer.WriteStartObject();
        writer.WriteNumber("index", record.Index);
        writer.WriteNumber("seq", record.Seq);
        writer.WriteNumber("at", record.AtMs);
        writer.WriteString("type", type.Name);
        writer.WriteString("command", record.CommandId);
        writer.WriteString("by", record.By);
        if (record.Traceparent is { } traceparent) writer.WriteString("traceparent", traceparent);
        foreach (var property in JsonSerializer.SerializeToElement(record.Event, ControlPlaneJson.Contract.GetTypeInfo(type)).EnumerateObject())
            property.WriteTo(writer);
        writer.WriteEndObject();
    }
}
