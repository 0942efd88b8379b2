using System.Text;
using Microsoft.Extensions.Logging;
using RaftMirror.Consensus;
using RaftMirror.Consensus.Model;
using RaftMirror.DataPlane.Mirroring.Shell;

namespace RaftMirror.Node.Peers;

/// <summary>Carries the data planes' messages over the peer connections. Layout of a request: length of the set's name (1 byte), name
/// (UTF-8), payload. Best effort, as the data plane expects: it repeats what is not answered.</summary>
internal sealed partial class PeerDatagrams(IPeerRpc rpc, NodeDirectory directory, ILogger logger)
{
    private const int MaxInFlightPerNode = 256;
    private readonly Dictionary<string, int> _inFlight = new(StringComparer.Ordinal);
    private readonly Lock _gate = new();

    /// <summary>Sets the receiver.</summary>
    public void Register(Action<string, string, ReadOnlyMemory<byte>> received) =>
        rpc.Handle(PeerMethods.SetMessage, (from, bytes, _) =>
        {
            var nameLength = bytes.Length > 0 ? bytes.Span[0] : 0;
            if (directory.NameOf(from) is { } sender && nameLength > 0 && bytes.Length > nameLength)
                received(sender, Encoding.UTF8.GetString(bytes.Span.Slice(1, nameLength)), bytes[(1 + nameLength)..]);
            return ValueTask.FromResult(ReadOnlyMemory<byte>.Empty);
        });

    /// <summary>The sender of one set.</summary>
    public IPeerMessages ForSet(string set) => new SetSender(this, set);

    private void Send(string set, string node, ReadOnlyMemory<byte> payload)
    {
        if (directory.IdOf(node) is not { } id || !TryEnter(node)) return;
        var name = Encoding.UTF8.GetBytes(set);
        var request = new byte[1 + name.Length + payload.Length];
        request[0] = (byte)name.Length;
        name.CopyTo(request, 1);
        payload.Span.CopyTo(request.AsSpan(1 + name.Length));
        _ = CallAsync(id, node, request);
    }

    private async Task CallAsync(NodeId id, string node, byte[] request)
    {
        try
        {
            using var limit = new CancellationTokenSource(TimeSpan.FromSeconds(5));
            await rpc.CallAsync(id, PeerMethods.SetMessage, request, limit.Token);
        }
        catch (Exception lost) when (lost is PeerUnreachableException or OperationCanceledException or ObjectDisposedException)
        {
            LogLost(logger, node, lost.Message); // The sender repeats until it is answered.
        }
        finally
        {
            lock (_gate) _inFlight[node]--;
        }
    }

    private bool TryEnter(string node)
    {
        lock (_gate)
        {
            var count = _inFlight.GetValueOrDefault(node);
            if (count >= MaxInFlightPerNode) return false;
            _inFlight[node] = count + 1;
            return true;
        }
    }

    [LoggerMessage(3101, LogLevel.Debug, "A message to {Node} was lost: {Reason}")]
    private static partial void LogLost(ILogger logger, string node, string reason);

    private sealed class SetSender(PeerDatagrams owner, string set) : IPeerMessages
    {
        public void Send(string node, ReadOnlyMemory<byte> payload) => owner.Send(set, node, payload);
    }
}
