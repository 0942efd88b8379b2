using System.Text.Json;
using RaftMirror.Contracts;
using RaftMirror.ControlPlane.Model;
using RaftMirror.Node.Peers;

namespace RaftMirror.Node.Commands;

/// <summary>Results of the control plane in the words of the API.</summary>
internal static class ApiResults
{
    /// <summary>A committed command's result.</summary>
    public static ApiResult From(CommandResult result, Guid id, string? traceId) => new()
    {
        Outcome = result.Outcome == CommandOutcome.Applied ? ApiOutcome.Applied : ApiOutcome.Rejected,
        Rejection = result.Kind,
        Code = result.Code,
        Message = result.Message ?? "",
        Index = result.Index,
        RequestId = id,
        TraceId = traceId,
        Data = result.Data is null ? null : JsonSerializer.SerializeToElement(result.Data, DaemonJson.Default.ResultData),
    };
}
