using System.Buffers.Binary;
using System.Net;
using System.Text;
using RaftMirror.Consensus.Core;
using RaftMirror.Consensus.Model;
using RaftMirror.Consensus.Transport;

namespace RaftMirror.Consensus.Node;

/// <summary>Changes of membership: on the leader, or forwarded to it.
/// <code>
/// raft.members: 0 1 action, 1 1 priority, 2 2 node, 4 1 bytes of the name, name, address (UTF-8) → text of the error, empty if done
/// </code>
/// </summary>
public sealed partial class RaftNode
{
    private const string MembersMethod = "raft.members";
    private readonly List<(EntryId Place, TaskCompletionSource<string?> Answer)> _memberChanges = [];
    private (Configuration? InForce, Configuration? Committed) _connected;

    /// <inheritdoc/>
    public async ValueTask<string?> ChangeMembersAsync(MembershipChange change, CancellationToken cancellationToken)
    {
        ArgumentNullException.ThrowIfNull(change);
        if (Refuse(change) is { } error) return error;
        using var limit = RequestLimit(cancellationToken);
        var view = _view;
        if (view.Role == RaftRole.Leader) return await ChangeLocallyAsync(change, limit.Token);
        if (view.Leader is not { } leader) return "no leader is known";
        try
        {
            var answer = await _transport.CallAsync(leader, MembersMethod, Encode(change), limit.Token);
            return answer.Length == 0 ? null : Encoding.UTF8.GetString(answer.Span);
        }
        catch (NotSentException notSent)
        {
            return notSent.Message;
        }
        catch (Exception broken) when (broken is PeerUnreachableException or OperationCanceledException)
        {
            // A leader that removes itself may be gone before its answer arrives. This node's own view says what became of it.
            return await WasDoneAsync(change, cancellationToken) ? null : $"whether it was done is unknown: {broken.Message}";
        }
    }

    private async ValueTask<bool> WasDoneAsync(MembershipChange change, CancellationToken cancellationToken)
    {
        try
        {
            await ReadBarrierAsync(cancellationToken);
        }
        catch (Exception error) when (error is NoLeaderException or OperationCanceledException)
        {
            return false;
        }

        var view = _view;
        var member = view.Members.FirstOrDefault(known => known.Id == change.Member.Id);
        return !view.IsChanging && change.Action switch
        {
            MembershipAction.Remove => member is null,
            MembershipAction.Promote => member is { IsVoter: true },
            MembershipAction.Demote => member is { IsVoter: false },
            MembershipAction.Update => member is not null && member.Address == change.Member.Address && member.Name == change.Member.Name
                && member.Priority == change.Member.Priority,
            _ => change.Member.Id.Value != 0 && member is not null,
        };
    }

    /// <summary>What no leader needs to be asked about.</summary>
    private static string? Refuse(MembershipChange change)
    {
        var member = change.Member;
        if (change.Action is not (MembershipAction.AddLearner or MembershipAction.Update)) return null;
        if (member.Name.Length > 64) return "a name has at most 64 characters";
        if (!IPEndPoint.TryParse(member.Address, out var endpoint) || endpoint.Port == 0)
            return $"\"{member.Address}\" is no IP address with a port";
        return null;
    }

    private async ValueTask<string?> ChangeLocallyAsync(MembershipChange change, CancellationToken cancellationToken)
    {
        var answer = new TaskCompletionSource<string?>(TaskCreationOptions.RunContinuationsAsynchronously);
        Post(new LoopInput.ChangeMembers(change, answer));
        try
        {
            return await answer.Task.WaitAsync(cancellationToken);
        }
        catch (OperationCanceledException)
        {
            return "it is not finished; whether it will be is unknown: look at the members";
        }
    }

    private async ValueTask<ReadOnlyMemory<byte>> AnswerMembersAsync(
        NodeId from, ReadOnlyMemory<byte> request, CancellationToken cancellationToken)
    {
        var error = Decode(request.Span, out var change) ?? Refuse(change!) ?? await ChangeLocallyAsync(change!, cancellationToken);
        return Encoding.UTF8.GetBytes(error ?? string.Empty);
    }

    /// <summary>By whoever has the core.</summary>
    private void BeginChange(LoopInput.ChangeMembers input)
    {
        var error = _core.ChangeMembers([input.Change], out var place);
        if (error is not null) input.Answer.TrySetResult(error);
        else _memberChanges.Add((place, input.Answer));
    }

    /// <summary>A change is done when a configuration at or behind it is committed and not joint. By whoever has the core.</summary>
    private void FinishChanges()
    {
        if (_memberChanges.Count == 0) return;
        var isSettled = _core.Commit >= _core.ConfigurationIndex && !_core.Configuration.IsJoint;
        for (var i = _memberChanges.Count - 1; i >= 0; i--)
        {
            var (place, answer) = _memberChanges[i];
            var isHere = _core.Term == place.Term || (_core.Commit >= place.Index && _core.Log.Base.Index <= place.Index && _core.Log.TermAt(place.Index) == place.Term);
            if (isSettled && isHere && _core.Commit >= place.Index) answer.TrySetResult(null);
            else if (_core.Role != RaftRole.Leader) answer.TrySetResult("the leader changed; whether it was done is unknown: look at the members");
            else continue;
            _memberChanges.RemoveAt(i);
        }
    }

    /// <summary>Connections follow the configuration in force; who has left is said by the committed one alone. By whoever has the core.</summary>
    private void ConnectMembers()
    {
        var configuration = _core.Configuration;
        var committed = _core.ConfigurationAt(_core.Commit);
        if (ReferenceEquals(_connected.InForce, configuration) && ReferenceEquals(_connected.Committed, committed)) return;
        _connected = (configuration, committed);
        var addresses = configuration.Details.Where(member => member.Address.Length > 0).ToDictionary(member => member.Id, member => member.Address);

        // A node that waits to be told who takes part keeps to those whom it was told when it joined.
        if (addresses.Count > 0) _transport.UpdateMembers(addresses, id => committed.HasLeft(id) && configuration.SlotOf(id) < 0);
    }

    private static byte[] Encode(MembershipChange change)
    {
        var name = Encoding.UTF8.GetBytes(change.Member.Name);
        var address = Encoding.UTF8.GetBytes(change.Member.Address);
        var bytes = new byte[5 + name.Length + address.Length];
        bytes[0] = (byte)change.Action;
        bytes[1] = change.Member.Priority;
        BinaryPrimitives.WriteUInt16LittleEndian(bytes.AsSpan(2), change.Member.Id.Value);
        bytes[4] = (byte)name.Length;
        name.CopyTo(bytes, 5);
        address.CopyTo(bytes, 5 + name.Length);
        return bytes;
    }

    private static string? Decode(ReadOnlySpan<byte> bytes, out MembershipChange? change)
    {
        change = null;
        if (bytes.Length < 5 || bytes.Length < 5 + bytes[4] || bytes[0] > (byte)MembershipAction.Update) return "a change of membership is cut short";
        var member = new Member(
            new NodeId(BinaryPrimitives.ReadUInt16LittleEndian(bytes[2..])),
            Encoding.UTF8.GetString(bytes.Slice(5, bytes[4])),
            Encoding.UTF8.GetString(bytes[(5 + bytes[4])..]),
            bytes[1]);
        change = new MembershipChange((MembershipAction)bytes[0], member);
        return null;
    }
}
