using System.Buffers.Binary;
using System.Text;
using RaftMirror.Consensus.Core;
using RaftMirror.Consensus.Model;
using RaftMirror.Consensus.Snapshots;
using RaftMirror.Consensus.Transport;

namespace RaftMirror.Consensus.Node;

/// <summary>
/// Requests between nodes: forwarded proposals, read barriers and transfers, and the daemon's own methods.
/// <code>
/// raft.propose: 0 8 incarnation, 8 8 sequence, 16 1 has epoch, 17 8 epoch, 25 command → 0 1 refusal, 1 8 term, 9 8 index
/// raft.read:    nothing → 0 1 refusal, 1 8 read index
/// raft.transfer: 0 2 target or 0 → text of the error, empty if done
/// </code>
/// </summary>
public sealed partial class RaftNode
{
    private const string ProposeMethod = "raft.propose";
    private const string ReadMethod = "raft.read";
    private const string TransferMethod = "raft.transfer";

    private NodeId Self => _options.Self;

    /// <inheritdoc/>
    public async ValueTask<ReadOnlyMemory<byte>> CallAsync(
        NodeId node, string method, ReadOnlyMemory<byte> request, CancellationToken cancellationToken)
    {
        try
        {
            return await _transport.CallAsync(node, method, request, cancellationToken);
        }
        catch (NotSentException error)
        {
            throw new PeerUnreachableException(error.Message, error);
        }
    }

    /// <summary>Sets the handler of a method, at any time; until then calls of it fail. Names that begin with "raft." are the
    /// engine's.</summary>
    /// <exception cref="InvalidOperationException">The method has a handler.</exception>
    public void Handle(string method, Func<NodeId, ReadOnlyMemory<byte>, CancellationToken, ValueTask<ReadOnlyMemory<byte>>> handler)
    {
        ArgumentNullException.ThrowIfNull(method);
        ArgumentNullException.ThrowIfNull(handler);
        if (method.StartsWith("raft.", StringComparison.Ordinal)) throw new ArgumentException("raft.* is the engine's.", nameof(method));
        _transport.Handle(method, new RpcHandler(handler));
    }

    private void RegisterForwarding()
    {
        _transport.Handle(ProposeMethod, AnswerProposeAsync);
        _transport.Handle(ReadMethod, AnswerReadAsync);
        _transport.Handle(TransferMethod, AnswerTransferAsync);
        _transport.Handle(MembersMethod, AnswerMembersAsync);
        _transport.Handle(SnapshotReadCodec.Method, AnswerChunkAsync);
        _transport.Handle(NewestSnapshotMethod, AnswerNewestAsync);
        _transport.Handle(SeedMethod, AnswerSeedAsync);
    }

    private async Task ForwardProposalAsync(NodeId leader, PendingProposal proposal)
    {
        var request = new byte[25 + proposal.Command.Length];
        BinaryPrimitives.WriteUInt64LittleEndian(request, Incarnation);
        BinaryPrimitives.WriteUInt64LittleEndian(request.AsSpan(8), proposal.Sequence);
        request[16] = proposal.ExpectedEpoch is null ? (byte)0 : (byte)1;
        BinaryPrimitives.WriteUInt64LittleEndian(request.AsSpan(17), proposal.ExpectedEpoch ?? 0);
        proposal.Command.Span.CopyTo(request.AsSpan(25));
        try
        {
            using var limit = RequestLimit(_stopping.Token);
            var answer = await _transport.CallAsync(leader, ProposeMethod, request, limit.Token);
            var refusal = (ProposalRefusal)answer.Span[0];
            var place = new EntryId(
                BinaryPrimitives.ReadUInt64LittleEndian(answer.Span[1..]), BinaryPrimitives.ReadUInt64LittleEndian(answer.Span[9..]));
            Post(new LoopInput.Forwarded(proposal, refusal, place));
        }
        catch (NotSentException)
        {
            Post(new LoopInput.Forwarded(proposal, ProposalRefusal.NotLeader, default)); // Nobody saw it: as if refused.
        }
        catch (Exception error) when (error is PeerUnreachableException or OperationCanceledException)
        {
            Post(new LoopInput.Forwarded(proposal, null, default));
        }
    }

    private CancellationTokenSource RequestLimit(CancellationToken cancellationToken)
    {
        var limit = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken, _stopping.Token);
        limit.CancelAfter(_options.RequestTimeout);
        return limit;
    }

    private async ValueTask<ReadOnlyMemory<byte>> AnswerProposeAsync(
        NodeId from, ReadOnlyMemory<byte> request, CancellationToken cancellationToken)
    {
        if (request.Length is <= 25 or > 25 + MaxCommandBytes) throw new ArgumentException("A forwarded proposal has 1 byte to 1 MiB.");
        var header = request.Span;
        var id = new ProposalId(from.Value, BinaryPrimitives.ReadUInt64LittleEndian(header), BinaryPrimitives.ReadUInt64LittleEndian(header[8..]));
        ulong? epoch = header[16] == 0 ? null : BinaryPrimitives.ReadUInt64LittleEndian(header[17..]);
        var source = new TaskCompletionSource<(ProposalRefusal, EntryId)>(TaskCreationOptions.RunContinuationsAsynchronously);
        Post(new LoopInput.ProposeForPeer(id, request[25..], epoch, source));

        // No time-out of its own: once posted it will be appended or refused, unless this node stops.
        var (refusal, place) = await source.Task.WaitAsync(_stopping.Token);
        var answer = new byte[17];
        answer[0] = (byte)refusal;
        BinaryPrimitives.WriteUInt64LittleEndian(answer.AsSpan(1), place.Term);
        BinaryPrimitives.WriteUInt64LittleEndian(answer.AsSpan(9), place.Index);
        return answer;
    }

    private async ValueTask<ReadOnlyMemory<byte>> AnswerReadAsync(
        NodeId from, ReadOnlyMemory<byte> request, CancellationToken cancellationToken)
    {
        var read = await LocalReadIndexAsync(mayUseLease: true, cancellationToken);
        if (HasLapsed(read)) read = await LocalReadIndexAsync(mayUseLease: false, cancellationToken);
        var answer = new byte[9];
        answer[0] = (byte)read.Refusal;
        BinaryPrimitives.WriteUInt64LittleEndian(answer.AsSpan(1), read.Index);
        return answer;
    }

    private async ValueTask<ReadOnlyMemory<byte>> AnswerTransferAsync(
        NodeId from, ReadOnlyMemory<byte> request, CancellationToken cancellationToken)
    {
        if (request.Length != 2) throw new ArgumentException("A transfer names its target in 2 bytes.");
        var target = BinaryPrimitives.ReadUInt16LittleEndian(request.Span);
        var error = await TransferLocallyAsync(target == 0 ? null : new NodeId(target), cancellationToken);
        return Encoding.UTF8.GetBytes(error ?? string.Empty);
    }
}
