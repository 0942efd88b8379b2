using System.Buffers;
using System.Collections.Frozen;
using System.Text.Json;
using System.Text.Json.Serialization.Metadata;
using RaftMirror.ControlPlane.Commands;
using RaftMirror.ControlPlane.Model;
using RaftMirror.Primitives;

namespace RaftMirror.ControlPlane.Snapshots;

/// <summary>Commands and results as bytes. The only place that knows their encoding. Any thread.
/// A command: {"id","type","version","at","by","traceparent"?,"digest"?,"body"}, in this order.</summary>
public static class CommandCodec
{
    private const int Version = 1;

    private static readonly FrozenDictionary<string, JsonTypeInfo> Bodies = new[]
    {
        typeof(BootstrapCluster), typeof(CorrectClock), typeof(RegisterNode), typeof(StopNode), typeof(SuspectNode), typeof(ClearSuspicion),
        typeof(FenceNode), typeof(CreateSet), typeof(JoinSet), typeof(LeaveSet), typeof(AddDisk), typeof(OpenSlot),
        typeof(AbandonSlot), typeof(CreateMirror), typeof(DeleteMirror), typeof(MoveOwner), typeof(ReleaseOwner),
        typeof(CancelTransfer), typeof(MergeDirtyLog), typeof(ReportResync), typeof(FinishResync), typeof(FailSubmirror),
        typeof(ConfirmBarrier), typeof(StampLabels), typeof(LoseDisk), typeof(ReturnDisk), typeof(ReportDisks),
        typeof(ReportDiskIoEnded), typeof(SetDiskPath), typeof(StartActivation), typeof(CompleteActivation), typeof(GiveUpActivation), typeof(ConfirmNodeOff),
        typeof(MarkRecovered), typeof(LeaveLogDisk),
    }.ToFrozenDictionary(static t => t.Name, static t => ControlPlaneJson.Contract.GetTypeInfo(t), StringComparer.Ordinal);

    /// <summary>Encodes a command for the log.</summary>
    public static byte[] Encode(CommandEnvelope envelope)
    {
        var buffer = new ArrayBufferWriter<byte>(512);
        using (var writer = new Utf8JsonWriter(buffer, new JsonWriterOptions { Encoder = ControlPlaneJson.Contract.Encoder }))
        {
            var type = envelope.Body.GetType().Name;
            writer.WriteStartObject();
            writer.WriteString("id", envelope.Id);
            writer.WriteString("type", type);
            writer.WriteNumber("version", Version);
            writer.WriteNumber("at", envelope.AtMs);
            writer.WriteString("by", envelope.By);
            if (envelope.Traceparent is { } traceparent) writer.WriteString("traceparent", traceparent);
            if (envelope.Digest is { } digest) writer.WriteString("digest", digest);
            writer.WritePropertyName("body");
            JsonSerializer.Serialize(writer, envelope.Body, Bodies[type]);
            writer.WriteEndObject();
        }

        return buffer.WrittenSpan.ToArray();
    }

    /// <summary>Decodes a command of the log.</summary>
    /// <exception cref="InvariantException">Unknown type or version, or no command at all: skipping it would make this node differ from
    /// the others, so it must stop.</exception>
    public static CommandEnvelope Decode(ReadOnlySpan<byte> command)
    {
        try
        {
            var reader = new Utf8JsonReader(command);
            using var document = JsonDocument.ParseValue(ref reader);
            var root = document.RootElement;
            var type = root.GetProperty("type").GetString()!;
            var version = root.GetProperty("version").GetInt32();
            Invariant.Require(version == Version && Bodies.ContainsKey(type), $"Command {type} version {version} is not known to this version.");
            var body = (CommandBody?)root.GetProperty("body").Deserialize(Bodies[type]);
            return new CommandEnvelope(
                root.GetProperty("id").GetGuid(),
                root.GetProperty("at").GetInt64(),
                root.GetProperty("by").GetString()!,
                root.TryGetProperty("traceparent", out var trace) ? trace.GetString() : null,
                body ?? throw new JsonException("A command has a body."),
                root.TryGetProperty("digest", out var digest) ? digest.GetString() : null);
        }
        catch (Exception broken) when (broken is JsonException or KeyNotFoundException or FormatException or InvalidOperationException)
        {
            throw new InvariantException($"The log holds what is no command: {broken.Message}", broken);
        }
    }

    /// <summary>Encodes a result.</summary>
    public static byte[] EncodeResult(CommandResult result) =>
        JsonSerializer.SerializeToUtf8Bytes(result, ControlPlaneJson.Contract.GetTypeInfo(typeof(CommandResult)));

    /// <summary>Decodes a result, as <c>CommitResult.Result</c> carries it.</summary>
    /// <exception cref="JsonException">It is something else.</exception>
    public static CommandResult DecodeResult(ReadOnlySpan<byte> json) =>
        (CommandResult?)JsonSerializer.Deserialize(json, ControlPlaneJson.Contract.GetTypeInfo(typeof(CommandResult)))
        ?? throw new JsonException("No result.");
}
