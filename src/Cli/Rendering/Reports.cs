using RaftMirror.Contracts;

namespace RaftMirror.Cli.Rendering;

/// <summary>Answer of <c>owner show</c> and <c>owner move</c>.</summary>
internal sealed record OwnerReport
{
    public required string Volume { get; init; }

    public required OwnerStatus? Owner { get; init; }

    public OwnerStatus? Previous { get; init; }

    public long? DurationMs { get; init; }

    public string? TraceId { get; init; }

    public Guid? RequestId { get; init; }
}

internal sealed record VersionReport(string Version, string Runtime);

internal sealed record WaitReport(string Object, string Condition, bool Holds, long WaitedMs, ulong Index);
