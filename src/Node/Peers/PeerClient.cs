using System.Text.Json;
using System.Text.Json.Serialization.Metadata;
using RaftMirror.Consensus;

namespace RaftMirror.Node.Peers;

/// <summary>Typed requests to daemons by node name. Any thread.</summary>
internal sealed class PeerClient(IPeerRpc rpc, NodeDirectory directory)
{
    /// <summary>Calls a node and waits for its answer, at most <paramref name="timeout"/>.</summary>
    /// <exception cref="PeerUnreachableException">It did not answer; whether it acted is unknown.</exception>
    public async ValueTask<TReply> CallAsync<TRequest, TReply>(
        string node,
        string method,
        TRequest request,
        JsonTypeInfo<TRequest> requestType,
        JsonTypeInfo<TReply> replyType,
        TimeSpan timeout,
        CancellationToken cancellationToken)
    {
        var id = directory.IdOf(node) ?? throw new PeerUnreachableException($"Node '{node}' is no member of the cluster.");
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        limit.CancelAfter(timeout);
        try
        {
            var reply = await rpc.CallAsync(id, method, JsonSerializer.SerializeToUtf8Bytes(request, requestType), limit.Token);
            return JsonSerializer.Deserialize(reply.Span, replyType)
                ?? throw new PeerUnreachableException($"Node '{node}' gave an empty answer to {method}.");
        }
        catch (OperationCanceledException) when (!cancellationToken.IsCancellationRequested)
        {
            throw new PeerUnreachableException($"Node '{node}' did not answer {method} within {timeout.TotalSeconds:0.#} s.");
        }
        catch (JsonException malformed)
        {
            throw new PeerUnreachableException($"Node '{node}' gave a malformed answer to {method}.", malformed);
        }
    }

    /// <summary>Sets a method's handler.</summary>
    public void Handle<TRequest, TReply>(
        string method,
        JsonTypeInfo<TRequest> requestType,
        JsonTypeInfo<TReply> replyType,
        Func<string, TRequest, CancellationToken, ValueTask<TReply>> handler) =>
        rpc.Handle(method, async (from, bytes, cancellationToken) =>
        {
            var request = JsonSerializer.Deserialize(bytes.Span, requestType)
                ?? throw new InvalidDataException($"{method}: the request is empty.");
            var sender = directory.NameOf(from) ?? throw new InvalidDataException($"{method}: node {from} is no member.");
            var reply = await handler(sender, request, cancellationToken);
            return JsonSerializer.SerializeToUtf8Bytes(reply, replyType);
        });
}
