using System.Buffers;
using System.Security.Cryptography;
using System.Text.Json;

namespace RaftMirror.ControlPlane.Commands;

/// <summary>What a client asked for, in a few bytes: two requests with one digest are the same request. "TYPE:SHA-256 in hex" over the type
/// and the body's canonical JSON: properties in ordinal order, nulls left out, no white space. Pure, any thread.</summary>
/// <remarks>It covers what was asked, not what became of it: a leader adds incarnations and evidence, and a repeat would find others.</remarks>
public static class RequestDigest
{
    /// <summary>The digest of a request.</summary>
    /// <param name="type">Its type, without a colon.</param>
    /// <param name="body">What is asked.</param>
    public static string Of(string type, JsonElement body)
    {
        var buffer = new ArrayBufferWriter<byte>(256);
        using (var writer = new Utf8JsonWriter(buffer))
        {
            writer.WriteStartArray();
            writer.WriteStringValue(type);
            Write(writer, body);
            writer.WriteEndArray();
        }

        return $"{type}:{Convert.ToHexStringLower(SHA256.HashData(buffer.WrittenSpan))}";
    }

    /// <summary>The type of the request that a digest is of.</summary>
    public static string TypeOf(string digest) => digest[..Math.Max(0, digest.IndexOf(':', StringComparison.Ordinal))];

    private static void Write(Utf8JsonWriter writer, JsonElement value)
    {
        switch (value.ValueKind)
        {
            case JsonValueKind.Object:
                writer.WriteStartObject();
                foreach (var property in value.EnumerateObject()
                    .Where(static p => p.Value.ValueKind != JsonValueKind.Null).OrderBy(static p => p.Name, StringComparer.Ordinal))
                {
                    writer.WritePropertyName(property.Name);
                    Write(writer, property.Value);
                }

                writer.WriteEndObject();
                break;
            case JsonValueKind.Array:
                writer.WriteStartArray();
                foreach (var item in value.EnumerateArray()) Write(writer, item);
                writer.WriteEndArray();
                break;
            default:
                value.WriteTo(writer);
                break;
        }
    }
}
