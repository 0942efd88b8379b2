using System.Text.Json;

namespace RaftMirror.Contracts;

/// <summary>What POST /v1/commands takes.</summary>
internal sealed record CommandRequest
{
    /// <summary>Name of the command; see <see cref="CommandTypes"/>.</summary>
    public required string Type { get; init; }

    public required JsonElement Body { get; init; }

    /// <summary>UUIDv7 made once by the client. A repeat with the same id gets the first result.</summary>
    public required Guid RequestId { get; init; }

    /// <summary>Check on the leader and on the nodes concerned, change nothing.</summary>
    public bool DryRun { get; init; }

    /// <summary>Who asked, for the log: user@host.</summary>
    public required string By { get; init; }

    /// <summary>How long the server may take; then the outcome may be unknown.</summary>
    public int TimeoutMs { get; init; } = 30_000;

    /// <summary>W3C traceparent of the server's span for this request; filled in by the server, stored in the log.</summary>
    public string? TraceParent { get; init; }
}

/// <summary>What became of a command.</summary>
internal enum ApiOutcome
{
    /// <summary>Committed and applied.</summary>
    Applied,

    /// <summary>A dry run found nothing against it. Nothing was applied.</summary>
    Checked,

    /// <summary>Refused by a rule or by a node. Nothing was applied.</summary>
    Rejected,

    /// <summary>Not in the log and never will be: no leader, no quorum. Nothing was applied.</summary>
    NotApplied,

    /// <summary>It may or may not be applied; repeat it with the same request id.</summary>
    Unknown,
}

/// <summary>The answer to a command.</summary>
internal sealed record ApiResult
{
    public required ApiOutcome Outcome { get; init; }

    /// <summary>Meaningful if rejected: its number is the exit code.</summary>
    public RejectionKind Rejection { get; init; }

    /// <summary>Stable code in camelCase, such as nameTaken; "ok" if applied.</summary>
    public string Code { get; init; } = "ok";

    /// <summary>What was wrong and why, or what was done; a sentence for people.</summary>
    public string Message { get; init; } = "";

    /// <summary>What to do about it; null if nothing.</summary>
    public string? Help { get; init; }

    /// <summary>What each node asked said; empty if none was.</summary>
    public IReadOnlyList<NodeAnswer> Details { get; init; } = [];

    /// <summary>Log index of the command; 0 unless applied.</summary>
    public ulong Index { get; init; }

    public Guid RequestId { get; init; }

    public string? TraceId { get; init; }

    /// <summary>What the command made, or would do; null if there is nothing to tell.</summary>
    public JsonElement? Data { get; init; }
}

internal sealed record NodeAnswer(string Node, bool Ok, string Message);

/// <summary>An error as application/problem+json (RFC 9457).</summary>
internal sealed record Problem
{
    public string Type { get; init; } = "about:blank";

    public required string Title { get; init; }

    public required int Status { get; init; }

    public string? Detail { get; init; }

    /// <summary>Stable code in camelCase.</summary>
    public required string Code { get; init; }

    /// <summary>yes, no or unknown.</summary>
    public required string Applied { get; init; }

    /// <summary>True if the same request, with the same id, may succeed later or elsewhere.</summary>
    public bool Retryable { get; init; }

    public Guid? RequestId { get; init; }

    public string? TraceId { get; init; }

    /// <summary>What to do.</summary>
    public string? Help { get; init; }

    public IReadOnlyList<NodeAnswer> Details { get; init; } = [];
}
