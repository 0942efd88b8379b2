using System.Collections.Immutable;
using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Json.Serialization;
using RaftMirror.ControlPlane.Commands;
using RaftMirror.ControlPlane.Events;
using RaftMirror.ControlPlane.Model;

namespace RaftMirror.ControlPlane.Snapshots;

/// <summary>The one JSON contract of log, results, events and snapshots: camelCase, properties in declaration order, maps in ordinal
/// order, nulls left out, no white space. The same value always gives the same bytes.</summary>
[JsonSourceGenerationOptions(GenerationMode = JsonSourceGenerationMode.Metadata)]
[JsonSerializable(typeof(StateSnapshot))]
[JsonSerializable(typeof(SetState))]
[JsonSerializable(typeof(CommandResult))]
[JsonSerializable(typeof(string))]
[JsonSerializable(typeof(ulong))]
[JsonSerializable(typeof(long))]
[JsonSerializable(typeof(BootstrapCluster))]
[JsonSerializable(typeof(CorrectClock))]
[JsonSerializable(typeof(ClockCorrected))]
[JsonSerializable(typeof(RegisterNode))]
[JsonSerializable(typeof(StopNode))]
[JsonSerializable(typeof(SuspectNode))]
[JsonSerializable(typeof(ClearSuspicion))]
[JsonSerializable(typeof(FenceNode))]
[JsonSerializable(typeof(CreateSet))]
[JsonSerializable(typeof(JoinSet))]
[JsonSerializable(typeof(LeaveSet))]
[JsonSerializable(typeof(AddDisk))]
[JsonSerializable(typeof(OpenSlot))]
[JsonSerializable(typeof(AbandonSlot))]
[JsonSerializable(typeof(CreateMirror))]
[JsonSerializable(typeof(DeleteMirror))]
[JsonSerializable(typeof(MoveOwner))]
[JsonSerializable(typeof(ReleaseOwner))]
[JsonSerializable(typeof(CancelTransfer))]
[JsonSerializable(typeof(MergeDirtyLog))]
[JsonSerializable(typeof(ReportResync))]
[JsonSerializable(typeof(FinishResync))]
[JsonSerializable(typeof(FailSubmirror))]
[JsonSerializable(typeof(ConfirmBarrier))]
[JsonSerializable(typeof(StampLabels))]
[JsonSerializable(typeof(LoseDisk))]
[JsonSerializable(typeof(ReturnDisk))]
[JsonSerializable(typeof(ReportDisks))]
[JsonSerializable(typeof(ReportDiskIoEnded))]
[JsonSerializable(typeof(SetDiskPath))]
[JsonSerializable(typeof(StartActivation))]
[JsonSerializable(typeof(GiveUpActivation))]
[JsonSerializable(typeof(ConfirmNodeOff))]
[JsonSerializable(typeof(CompleteActivation))]
[JsonSerializable(typeof(MarkRecovered))]
[JsonSerializable(typeof(LeaveLogDisk))]
[JsonSerializable(typeof(ClusterBootstrapped))]
[JsonSerializable(typeof(NodeRegistered))]
[JsonSerializable(typeof(NodeUp))]
[JsonSerializable(typeof(NodeSuspected))]
[JsonSerializable(typeof(SuspicionCleared))]
[JsonSerializable(typeof(NodeFenced))]
[JsonSerializable(typeof(NodeStopped))]
[JsonSerializable(typeof(PredecessorSettled))]
[JsonSerializable(typeof(NodeDown))]
[JsonSerializable(typeof(SetCreated))]
[JsonSerializable(typeof(NodeJoinedSet))]
[JsonSerializable(typeof(NodeLeftSet))]
[JsonSerializable(typeof(NodeReturned))]
[JsonSerializable(typeof(SetMasterChanged))]
[JsonSerializable(typeof(DiskAdded))]
[JsonSerializable(typeof(DiskFailed))]
[JsonSerializable(typeof(SlotOpened))]
[JsonSerializable(typeof(SlotSealed))]
[JsonSerializable(typeof(SlotRetired))]
[JsonSerializable(typeof(DirtyLogMerged))]
[JsonSerializable(typeof(MirrorCreated))]
[JsonSerializable(typeof(MirrorDeleting))]
[JsonSerializable(typeof(MirrorDeleted))]
[JsonSerializable(typeof(OwnershipTransferStarted))]
[JsonSerializable(typeof(TransferCancelled))]
[JsonSerializable(typeof(OwnerChanged))]
[JsonSerializable(typeof(ResyncStarted))]
[JsonSerializable(typeof(ResyncExtended))]
[JsonSerializable(typeof(ResyncProgressed))]
[JsonSerializable(typeof(ResyncFinished))]
[JsonSerializable(typeof(ResyncCancelled))]
[JsonSerializable(typeof(SubmirrorStateChanged))]
[JsonSerializable(typeof(BarrierStarted))]
[JsonSerializable(typeof(BarrierConfirmed))]
[JsonSerializable(typeof(BarrierCompleted))]
[JsonSerializable(typeof(LabelsStamped))]
[JsonSerializable(typeof(ActivationStarted))]
[JsonSerializable(typeof(ActivationGivenUp))]
[JsonSerializable(typeof(ActivationCompleted))]
[JsonSerializable(typeof(BeatCompleted))]
[JsonSerializable(typeof(ReadsPinned))]
[JsonSerializable(typeof(DiskLost))]
[JsonSerializable(typeof(DiskReturned))]
[JsonSerializable(typeof(LogDiskLeft))]
[JsonSerializable(typeof(DiskIoEnded))]
[JsonSerializable(typeof(DisksReported))]
[JsonSerializable(typeof(MarksKept))]
[JsonSerializable(typeof(LegReturning))]
[JsonSerializable(typeof(DiskPathChanged))]
[JsonSerializable(typeof(MirrorRecovered))]
internal sealed partial class ControlPlaneJson : JsonSerializerContext
{
    /// <summary>The contract's options.</summary>
    public static JsonSerializerOptions Contract => Holder.Options;

    private static JsonSerializerOptions Make()
    {
        var options = new JsonSerializerOptions
        {
            PropertyNamingPolicy = JsonNamingPolicy.CamelCase,
            DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull,
            UnmappedMemberHandling = JsonUnmappedMemberHandling.Disallow,
            RespectRequiredConstructorParameters = false, // Nulls are left out, so absent nullable parameters are lawful.
            RespectNullableAnnotations = true,
            IgnoreReadOnlyProperties = true,
            Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping,
            TypeInfoResolver = Default,
        };
        options.Converters.Add(new JsonStringEnumConverter(JsonNamingPolicy.CamelCase, allowIntegerValues: false));
        options.Converters.Add(new RegionRunConverter());
        options.Converters.Add(new OrdinalMapConverter<NodeState>());
        options.Converters.Add(new OrdinalMapConverter<SetState>());
        options.Converters.Add(new OrdinalMapConverter<MemberState>());
        options.Converters.Add(new OrdinalMapConverter<DiskState>());
        options.Converters.Add(new OrdinalMapConverter<VolumeState>());
        options.Converters.Add(new OrdinalMapConverter<string>());
        options.Converters.Add(new OrdinalMapConverter<ulong>());
        options.Converters.Add(new OrdinalMapConverter<long>());
        options.MakeReadOnly();
        return options;
    }

    /// <summary>A class of its own, because the generated part's statics must be there first.</summary>
    private static class Holder
    {
        public static readonly JsonSerializerOptions Options = Make();
    }
}

/// <summary>[start, count].</summary>
internal sealed class RegionRunConverter : JsonConverter<RegionRun>
{
    public override RegionRun Read(ref Utf8JsonReader reader, Type typeToConvert, JsonSerializerOptions options)
    {
        if (reader.TokenType != JsonTokenType.StartArray || !reader.Read()) throw new JsonException("A run is [start, count].");
        var start = reader.GetInt64();
        reader.Read();
        var count = reader.GetInt64();
        if (!reader.Read() || reader.TokenType != JsonTokenType.EndArray) throw new JsonException("A run is [start, count].");
        return new RegionRun(start, count);
    }

    public override void Write(Utf8JsonWriter writer, RegionRun value, JsonSerializerOptions options)
    {
        writer.WriteStartArray();
        writer.WriteNumberValue(value.Start);
        writer.WriteNumberValue(value.Count);
        writer.WriteEndArray();
    }
}

/// <summary>Maps keep ordinal order also when they come back from JSON; the built-in converter would use the default comparer.</summary>
internal sealed class OrdinalMapConverter<TValue> : JsonConverter<ImmutableSortedDictionary<string, TValue>>
{
    public override ImmutableSortedDictionary<string, TValue> Read(
        ref Utf8JsonReader reader, Type typeToConvert, JsonSerializerOptions options)
    {
        if (reader.TokenType != JsonTokenType.StartObject) throw new JsonException("A map is an object.");
        var map = OrdinalMap.Empty<TValue>().ToBuilder();
        while (reader.Read() && reader.TokenType == JsonTokenType.PropertyName)
        {
            var key = reader.GetString()!;
            reader.Read();
            var value = (TValue?)JsonSerializer.Deserialize(ref reader, options.GetTypeInfo(typeof(TValue)))
                ?? throw new JsonException($"'{key}' has no value.");
            if (!map.TryAdd(key, value)) throw new JsonException($"'{key}' comes twice.");
        }

        return map.ToImmutable();
    }

    public override void Write(
        Utf8JsonWriter writer, ImmutableSortedDictionary<string, TValue> value, JsonSerializerOptions options)
    {
        writer.WriteStartObject();
        foreach (var (key, item) in value.WithComparers(StringComparer.Ordinal))
        {
            writer.WritePropertyName(key);
            JsonSerializer.Serialize(writer, item, options.GetTypeInfo(typeof(TValue)));
        }

        writer.WriteEndObject();
    }
}
