using System.Text;

namespace RaftMirror.Integration.Tests.Telemetry;

/// <summary>A span as it came over the wire.</summary>
/// <param name="TraceId">Hexadecimal.</param>
/// <param name="SpanId">Hexadecimal.</param>
/// <param name="ParentSpanId">Hexadecimal, empty for a root.</param>
/// <param name="Name">Name.</param>
/// <param name="Service">service.name of its resource.</param>
/// <param name="Instance">service.instance.id of its resource.</param>
/// <param name="Attributes">Text values only.</param>
internal sealed record OtlpSpan(
    string TraceId,
    string SpanId,
    string ParentSpanId,
    string Name,
    string Service,
    string Instance,
    IReadOnlyDictionary<string, string> Attributes)
{
    /// <summary>Decodes an ExportTraceServiceRequest (opentelemetry-proto, trace/v1): resource_spans = 1;
    /// ResourceSpans { resource = 1, scope_spans = 2 }; ScopeSpans { spans = 2 }; Span { trace_id = 1, span_id = 2,
    /// parent_span_id = 4, name = 5, attributes = 9 }; KeyValue { key = 1, value = 2 }; AnyValue { string_value = 1 }.</summary>
    public static IReadOnlyList<OtlpSpan> Decode(ReadOnlyMemory<byte> request)
    {
        var spans = new List<OtlpSpan>();
        foreach (var (_, resourceSpans) in ProtoReader.Messages(request).Where(field => field.Number == 1))
        {
            var parts = ProtoReader.Messages(resourceSpans);
            var resource = new Dictionary<string, string>();
            foreach (var (_, data) in parts.Where(field => field.Number == 1)) resource = ReadAttributes(data, 1);
            foreach (var (_, scope) in parts.Where(field => field.Number == 2))
            {
                foreach (var (_, span) in ProtoReader.Messages(scope).Where(field => field.Number == 2))
                    spans.Add(DecodeSpan(span, resource));
            }
        }

        return spans;
    }

    private static OtlpSpan DecodeSpan(ReadOnlyMemory<byte> span, Dictionary<string, string> resource)
    {
        var fields = ProtoReader.Messages(span);
        ReadOnlySpan<byte> Field(int number) => fields.FirstOrDefault(field => field.Number == number).Data.Span;
        return new OtlpSpan(
            Convert.ToHexStringLower(Field(1)),
            Convert.ToHexStringLower(Field(2)),
            Convert.ToHexStringLower(Field(4)),
            Encoding.UTF8.GetString(Field(5)),
            resource.GetValueOrDefault("service.name", ""),
            resource.GetValueOrDefault("service.instance.id", ""),
            ReadAttributes(span, 9));
    }

    private static Dictionary<string, string> ReadAttributes(ReadOnlyMemory<byte> message, int fieldNumber)
    {
        var found = new Dictionary<string, string>();
        foreach (var (_, pair) in ProtoReader.Messages(message).Where(field => field.Number == fieldNumber))
        {
            var parts = ProtoReader.Messages(pair);
            var key = Encoding.UTF8.GetString(parts.First(field => field.Number == 1).Data.Span);
            var value = parts.FirstOrDefault(field => field.Number == 2).Data;
            var text = ProtoReader.Messages(value).FirstOrDefault(field => field.Number == 1).Data;
            found[key] = Encoding.UTF8.GetString(text.Span);
        }

        return found;
    }
}

/// <summary>Takes protobuf apart, length-delimited fields only.</summary>
internal static class ProtoReader
{
    /// <summary>The fields of wire type 2, in order.</summary>
    public static IReadOnlyList<(int Number, ReadOnlyMemory<byte> Data)> Messages(ReadOnlyMemory<byte> message)
    {
        var fields = new List<(int, ReadOnlyMemory<byte>)>();
        var position = 0;
        while (position < message.Length)
        {
            var tag = Varint(message.Span, ref position);
            switch (tag & 7)
            {
                case 0:
                    Varint(message.Span, ref position);
                    break;
                case 1:
                    position += 8;
                    break;
                case 2:
                    var length = (int)Varint(message.Span, ref position);
                    if (length < 0 || position + length > message.Length) throw new InvalidDataException("a field beyond its message");
                    fields.Add(((int)(tag >> 3), message.Slice(position, length)));
                    position += length;
                    break;
                case 5:
                    position += 4;
                    break;
                default:
                    throw new InvalidDataException($"wire type {tag & 7}");
            }
        }

        return fields;
    }

    private static ulong Varint(ReadOnlySpan<byte> data, ref int position)
    {
        ulong value = 0;
        for (var shift = 0; shift < 64 && position < data.Length; shift += 7)
        {
            var part = data[position++];
            value |= (ulong)(part & 0x7f) << shift;
            if (part < 0x80) return value;
        }

        throw new InvalidDataException("a number without end");
    }
}
