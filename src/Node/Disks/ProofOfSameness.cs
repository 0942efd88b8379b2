using RaftMirror.Consensus;
using RaftMirror.ControlPlane.Model;
using RaftMirror.DataPlane.Devices;
using RaftMirror.DataPlane.Metadata;
using RaftMirror.Node.Peers;
using RaftMirror.Node.State;

namespace RaftMirror.Node.Disks;

/// <summary>Proves with the nodes that serve a set, in both directions, that a disk is the one that they use (design §14.19, ADR 0020): a copy has the same
/// label, but not the nonce that was written a moment ago. Whom to ask, and what follows from the answers, says <see cref="DiskClaim"/>. Any
/// thread.</summary>
/// <param name="self">This node.</param>
/// <param name="ask">Asks another node.</param>
internal sealed class ProofOfSameness(NodeIdentity self, Func<string, ProofRequest, CancellationToken, ValueTask<ProofReply>> ask)
{
    private const int Tries = 8;
    private static readonly TimeSpan Pause = TimeSpan.FromMilliseconds(250);
    private static readonly TimeSpan Limit = TimeSpan.FromSeconds(3);

    /// <summary>The verdict on a disk that looks right by its label, and that this node has claimed.</summary>
    /// <param name="set">The set, in a state that was read after the disk was claimed.</param>
    /// <param name="disk">The disk.</param>
    /// <param name="verdict">By its label: usable.</param>
    /// <param name="device">The open device.</param>
    /// <param name="own">For bounded calls to it.</param>
    /// <param name="cancellationToken">Gives up.</param>
    /// <exception cref="IOException">The disk does not answer, or fails.</exception>
    public async Task<(DiskVerdict Verdict, SamenessLook Look)> ProveAsync(
        SetState set, DiskState disk, DiskVerdict verdict, IBlockDevice device, NodeDisk own, CancellationToken cancellationToken)
    {
        // The suspect ones too: they may come back and go on, and who uses the disk alone may be one of them.
        var others = set.Members.Values.Where(member => member.Node != self.Name && member.JoinedIncarnation != 0).Select(static member => member.Node);
        var look = own.Ask(self.Name, set.Members[self.Name].JoinedIncarnation == self.Incarnation, others);
        var sinceMs = Environment.TickCount64;
        for (var attempt = 0; attempt < Tries && look.Verdict == SamenessVerdict.Asking && Environment.TickCount64 - sinceMs < Limit.TotalMilliseconds; attempt++)
        {
            if (attempt > 0) await Task.Delay(Pause, cancellationToken);
            look = await AskAllAsync(look, set, disk, device, own, cancellationToken);
        }

        var what = $"disk '{disk.Name}' ({disk.PathOn(self.Name)})";
        return look.Verdict switch
        {
            SamenessVerdict.Same => (verdict, look),
            SamenessVerdict.Other => (new DiskVerdict(
                DiskFinding.Cloned,
                $"{what} is a copy of the disk: its label is right, but node '{look.Opponent}' uses another one: what is written here does not show there; "
                + $"correct the path on '{self.Name}' (raftmirror disk set {set.Name} {disk.Name} --path {self.Name}=PATH), or take the copy away",
                verdict.Stamp), look),
            _ => (new DiskVerdict(
                DiskFinding.Unproven,
                $"{what} is not known yet to be the one that the others use: no answer of {Names(look.Open.Keys)} says so; they are asked again",
                verdict.Stamp), look),
        };
    }

    private static string Names(IEnumerable<string> nodes) => string.Join(", ", nodes.Select(static node => $"node '{node}'"));

    private async Task<SamenessLook> AskAllAsync(
        SamenessLook look, SetState set, DiskState disk, IBlockDevice device, NodeDisk own, CancellationToken cancellationToken)
    {
        var nonce = Guid.NewGuid();
        await WriteAsync(set, disk, set.Members[self.Name].SlotNumber, nonce, device, own, cancellationToken);
        var asked = look.Open.Keys.ToList();
        var replies = await Task.WhenAll(asked.Select(node => AskAsync(node, new ProofRequest(set.Name, disk.Id, nonce), cancellationToken)));
        foreach (var (node, reply) in asked.Zip(replies))
        {
            var standing = reply.Standing;
            if (standing == ProofStanding.Seen && !await SeesAsync(set, disk, set.Members[node].SlotNumber, reply.Nonce, device, own, cancellationToken))
                standing = ProofStanding.NotSeen;
            look = look.Hear(node, standing, reply.IsInUse);
        }

        return look;
    }

    /// <summary>The verdict on a lost disk before it is taken back: every node that serves the set must see this very one.</summary>
    /// <returns>Cloned if a node sees another one; else the verdict as it was, proven or, if a node could not say, not.</returns>
    /// <exception cref="IOException">The disk does not answer, or fails.</exception>
    public async Task<(DiskVerdict Verdict, bool IsProven)> ProveLostAsync(
        ClusterState state, SetState set, DiskState disk, DiskVerdict verdict, IBlockDevice device, NodeDisk own, CancellationToken cancellationToken)
    {
        foreach (var peer in set.Members.Values.Where(member => member.Node != self.Name && Duties.IsJoined(state.Nodes[member.Node], member)))
        {
            var standing = await CompareAsync(set, disk, peer, device, own, cancellationToken);
            // Once more before it is said: another node's proof may have come between.
            if (standing == ProofStanding.NotSeen) standing = await CompareAsync(set, disk, peer, device, own, cancellationToken);
            if (standing == ProofStanding.NotSeen)
            {
                return (new DiskVerdict(
                    DiskFinding.Cloned,
                    $"disk '{disk.Name}' ({disk.PathOn(self.Name)}) is not the one that node '{peer.Node}' sees: there are copies of it; "
                    + $"correct the path on one of them (raftmirror disk set {set.Name} {disk.Name} --path NODE=PATH), or take the copy away",
                    verdict.Stamp), false);
            }

            if (standing != ProofStanding.Seen) return (verdict, false);
        }

        return (verdict, true);
    }

    private async Task<ProofStanding> CompareAsync(
        SetState set, DiskState disk, MemberState peer, IBlockDevice device, NodeDisk own, CancellationToken cancellationToken)
    {
        var nonce = Guid.NewGuid();
        await WriteAsync(set, disk, set.Members[self.Name].SlotNumber, nonce, device, own, cancellationToken);
        var reply = await AskAsync(peer.Node, new ProofRequest(set.Name, disk.Id, nonce), cancellationToken);
        if (reply.Standing != ProofStanding.Seen) return reply.Standing;
        return await SeesAsync(set, disk, peer.SlotNumber, reply.Nonce, device, own, cancellationToken) ? ProofStanding.Seen : ProofStanding.NotSeen;
    }

    /// <summary>This node's part when another one asks.</summary>
    /// <param name="set">The set.</param>
    /// <param name="disk">The disk; if it is in use here, by the device in use.</param>
    /// <param name="askerSlot">Slot of the node that asks.</param>
    /// <param name="request">What it asks.</param>
    /// <param name="device">The device in use.</param>
    /// <param name="own">For bounded calls to it.</param>
    /// <param name="cancellationToken">Gives up.</param>
    public async Task<ProofReply> AnswerAsync(
        SetState set, DiskState disk, int askerSlot, ProofRequest request, IBlockDevice device, NodeDisk own, CancellationToken cancellationToken)
    {
        try
        {
            if (!await SeesAsync(set, disk, askerSlot, request.Nonce, device, own, cancellationToken)) return new ProofReply(ProofStanding.NotSeen);
            var nonce = Guid.NewGuid();
            await WriteAsync(set, disk, set.Members[self.Name].SlotNumber, nonce, device, own, cancellationToken);
            return new ProofReply(ProofStanding.Seen, nonce);
        }
        catch (Exception failure) when (failure is IOException or ObjectDisposedException)
        {
            return new ProofReply(ProofStanding.Failed); // Closed meanwhile, or it does not answer.
        }
    }

    private async Task<ProofReply> AskAsync(string node, ProofRequest request, CancellationToken cancellationToken)
    {
        try
        {
            return await ask(node, request, cancellationToken);
        }
        catch (PeerUnreachableException)
        {
            return new ProofReply(ProofStanding.Failed);
        }
    }

    private static async Task WriteAsync(
        SetState set, DiskState disk, int slot, Guid nonce, IBlockDevice device, NodeDisk own, CancellationToken cancellationToken)
    {
        var status = await own.RunAsync(
            () => SamenessProof.Write(device, StateWords.Layout(set, disk), slot, disk.Id, own.NoncesWith(nonce)), cancellationToken);
        if (status != DeviceStatus.Ok) throw new IOException($"a nonce could not be written ({status})");
    }

    private static Task<bool> SeesAsync(
        SetState set, DiskState disk, int slot, Guid nonce, IBlockDevice device, NodeDisk own, CancellationToken cancellationToken) =>
        own.RunAsync(
            () => SamenessProof.Read(device, StateWords.Layout(set, disk), slot, disk.Id, nonce, out var isThere) is var status && status == DeviceStatus.Ok
                ? isThere
                : throw new IOException($"a nonce could not be read ({status})"),
            cancellationToken);
}
