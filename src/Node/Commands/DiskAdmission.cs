using System.Collections.Immutable;
using RaftMirror.Consensus;
using RaftMirror.Contracts;
using RaftMirror.ControlPlane.Commands;
using RaftMirror.ControlPlane.Model;
using RaftMirror.Node.Peers;
using RaftMirror.Node.State;

namespace RaftMirror.Node.Commands;

/// <summary>The leader's part of <c>disk add</c>: every joined node must reach the same disk before it is labelled, and it is
/// labelled before it is committed. If anything stands against it, the bytes that were there are put back.</summary>
/// <remarks>Proof of sameness: one node writes a stamp with the new disk's id, the others read it. The disk's id is the request's
/// id, so a repeated request finds its own stamp or label and goes on.</remarks>
internal sealed class DiskAdmission(NodeIdentity self, PeerClient peers)
{
    private static readonly TimeSpan OneStep = TimeSpan.FromSeconds(10);

    /// <summary>The command with the evidence and size presumed, to ask the state early whether anything else stands against it.</summary>
    public static AddDisk Presumed(ClusterState state, AddDisk add) => add with
    {
        SizeBytes = add.SizeBytes > 0 ? add.SizeBytes : 1L << 50,
        SectorBytes = add.SectorBytes > 0 ? add.SectorBytes : 512,
        Node = add.Node.Length > 0 ? add.Node : Witnesses(state, add.Set).FirstOrDefault()?.Name ?? "",
        Evidence = Witnesses(state, add.Set).ToImmutableSortedDictionary(
            node => node.Name, node => node.Incarnation, StringComparer.Ordinal),
    };

    /// <summary>Asks every node, labels the disk, and gives the command with its evidence.</summary>
    /// <param name="state">Applied state.</param>
    /// <param name="add">The command as translated.</param>
    /// <param name="term">In which this node leads.</param>
    /// <param name="isDryRun">Only look.</param>
    /// <param name="cancellationToken">Ends the waiting; what was written is put back by a repeat or by <see cref="UndoAsync"/>.</param>
    public async Task<DiskAdmissionResult> AdmitAsync(
        ClusterState state, AddDisk add, ulong term, bool isDryRun, CancellationToken cancellationToken)
    {
        var witnesses = Witnesses(state, add.Set);
        var writer = Writer(witnesses);
        if (writer is null) return Refuse("noNode", $"No node of disk set '{add.Set}' is up, so none can look at the disk.", []);

        var probes = await AskAsync(state, add, term, witnesses, DiskStep.Probe, cancellationToken);
        var answers = probes.Select(probe => probe.Answer).ToList();
        if (answers.Any(answer => !answer.Ok)) return Refuse("diskRefused", "Not every node can use the disk.", answers);
        var first = probes[0].Reply!;
        if (probes.Any(probe => probe.Reply!.SizeBytes != first.SizeBytes))
            return Refuse("differentDisks", "The nodes see disks of different sizes under the given paths.", [.. probes.Select(Sized)]);
        var sector = probes.Max(probe => probe.Reply!.SectorBytes);
        var body = add with
        {
            SizeBytes = first.SizeBytes,
            SectorBytes = sector,
            Node = writer.Name,
            Stamp = state.Set(add.Set)!.NextStamp,
            Evidence = witnesses.ToImmutableSortedDictionary(node => node.Name, node => node.Incarnation, StringComparer.Ordinal),
        };
        if (isDryRun) return new DiskAdmissionResult(body, answers, null);

        var stamped = await AskAsync(state, add, term, [writer], DiskStep.Stamp, cancellationToken);
        if (!stamped[0].Answer.Ok) return Refuse("diskRefused", "The disk could not be stamped.", [stamped[0].Answer]);
        var others = witnesses.Where(node => node.Name != writer.Name).ToList();
        var reads = await AskAsync(state, add, term, others, DiskStep.ReadStamp, cancellationToken);
        if (!reads.All(read => read.Answer.Ok))
        {
            await AskAsync(state, body, term, [writer], DiskStep.Restore, cancellationToken, stamped[0].Reply!.Kept);
            return Refuse("differentDisks", "The nodes do not see the same disk under the given paths.", [.. reads.Select(read => read.Answer)]);
        }

        // From here on an overwritten disk's content is being erased: what is put back is a blank disk.
        var label = await AskAsync(state, add, term, [writer], DiskStep.Label, cancellationToken);
        if (label is [{ Answer.Ok: true }]) return new DiskAdmissionResult(body, answers, null);
        await UndoAsync(state, body, term, cancellationToken);
        return Refuse("diskRefused", "The disk could not be labelled.", [label[0].Answer], add.IsOverwrite);
    }

    /// <summary>Makes a disk blank again that is not added after all. The writer refuses it if another try of the request has added it.</summary>
    public async Task UndoAsync(ClusterState state, AddDisk add, ulong term, CancellationToken cancellationToken)
    {
        if (state.Node(add.Node) is { } writer) await AskAsync(state, add, term, [writer], DiskStep.Restore, cancellationToken);
    }

    private static NodeAnswer Sized((NodeAnswer Answer, DiskReply? Reply) probe) =>
        probe.Answer with { Ok = false, Message = $"{probe.Reply!.SizeBytes} bytes" };

    private static DiskAdmissionResult Refuse(string code, string message, List<NodeAnswer> answers, bool isErased = false) => new(null, answers, new ApiResult
    {
        Outcome = ApiOutcome.Rejected,
        Rejection = RejectionKind.Precondition,
        Code = code,
        Message = $"{message} Nothing was applied{(isErased ? ", but what was on the disk may be gone" : "")}.", // Who says what is in the details; people and programs get both.
        Details = answers,
    });

    /// <summary>The nodes whose yes is needed: members of the set that are up.</summary>
    private static List<NodeState> Witnesses(ClusterState state, string set) =>
        state.Set(set) is not { } found
            ? []
            : [.. found.Members.Keys.Select(state.Node).OfType<NodeState>().Where(node => node.IsLive)];

    private NodeState? Writer(List<NodeState> witnesses) =>
        witnesses.Find(node => node.Name == self.Name) ?? (witnesses.Count > 0 ? witnesses[0] : null);

    private async Task<List<(NodeAnswer Answer, DiskReply? Reply)>> AskAsync(
        ClusterState state, AddDisk add, ulong term, IReadOnlyList<NodeState> nodes, DiskStep step, CancellationToken cancellationToken,
        byte[]? kept = null)
    {
        var set = state.Set(add.Set)!;
        var stamp = set.NextStamp ?? StampState.None;
        var replies = await Task.WhenAll(nodes.Select(async node =>
        {
            try
            {
                var request = new DiskRequest(
                    set.Name,
                    set.Id,
                    state.Id,
                    add.DiskId,
                    add.Paths.GetValueOrDefault(node.Name, add.Path),
                    add.IsDirectIo,
                    set.MetadataBytes,
                    set.MaxNodes,
                    set.Generation,
                    step,
                    stamp.Number,
                    stamp.Nonce,
                    stamp.Activation)
                {
                    IsOverwrite = add.IsOverwrite,
                    Kept = kept,
                    Term = term,
                };
                var reply = await peers.CallAsync(
                    node.Name,
                    PeerMethods.CheckDisk,
                    request,
                    DaemonJson.Default.DiskRequest,
                    DaemonJson.Default.DiskReply,
                    OneStep,
                    cancellationToken);
                return (new NodeAnswer(node.Name, reply.IsOk, reply.Message), (DiskReply?)reply);
            }
            catch (PeerUnreachableException lost)
            {
                return (new NodeAnswer(node.Name, false, lost.Message), null);
            }
        }));
        return [.. replies];
    }
}

/// <summary>What came of asking the nodes about a disk.</summary>
/// <param name="Body">The command with its evidence; null if refused.</param>
/// <param name="Answers">What each node said.</param>
/// <param name="Refusal">The answer for the user; null if admitted.</param>
internal sealed record DiskAdmissionResult(AddDisk? Body, IReadOnlyList<NodeAnswer> Answers, ApiResult? Refusal);
