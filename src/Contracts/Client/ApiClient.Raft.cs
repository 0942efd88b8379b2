using System.Globalization;
using System.Text.Json;
using System.Text.Json.Serialization.Metadata;

namespace RaftMirror.Contracts.Client;

/// <summary>The replicated log itself. A change that was done is found done when it is asked for again, so every node may be tried.</summary>
internal sealed partial class ApiClient
{
    public Task<ApiResult> ChangeMembersAsync(MemberRequest request, CancellationToken cancellationToken) =>
        ChangeAsync("/v1/raft/members", request, ApiJson.Default.MemberRequest, cancellationToken);

    public Task<ApiResult> JoinAsync(JoinRequest request, CancellationToken cancellationToken) =>
        ChangeAsync("/v1/raft/join", request, ApiJson.Default.JoinRequest, cancellationToken);

    public Task<ApiResult> ReseedAsync(ReseedBody request, CancellationToken cancellationToken) =>
        ChangeAsync("/v1/raft/reseed", request, ApiJson.Default.ReseedBody, cancellationToken);

    public Task<RaftLogDocument> RaftLogAsync(ulong from, int count, CancellationToken cancellationToken) => GetAsync(
        string.Create(CultureInfo.InvariantCulture, $"/v1/raft/log?from={from}&count={count}"), ApiJson.Default.RaftLogDocument, cancellationToken);

    public Task<RaftSnapshotsDocument> SnapshotsAsync(CancellationToken cancellationToken) =>
        GetAsync("/v1/raft/snapshots", ApiJson.Default.RaftSnapshotsDocument, cancellationToken);

    private Task<ApiResult> ChangeAsync<T>(string path, T request, JsonTypeInfo<T> type, CancellationToken cancellationToken)
    {
        var body = JsonSerializer.SerializeToUtf8Bytes(request, type);
        return CallAsync(
            () => Post(path, body, TraceContext.NewTraceParent(out _)), TimeSpan.Zero,
            (answer, token) => ReadAsync(answer, ApiJson.Default.ApiResult, token), cancellationToken, isChange: true);
    }
}
