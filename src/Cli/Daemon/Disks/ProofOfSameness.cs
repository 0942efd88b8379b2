using RaftMirror.Consensus;
using RaftMirror.ControlPlane.Model;
using RaftMirror.DataPlane.Devices;
using RaftMirror.DataPlane.Metadata;

namespace RaftMirror.Cli.Daemon.Disks;

/// <summary>A node asks one that serves whether both see the same disk.</summary>
/// <param name="Set">Name of the set.</param>
/// <param name="Disk">Id of the disk.</param>
/// <param name="Nonce">What the asker has written into its own slot.</param>
internal sealed record ProofRequest(string Set, Guid Disk, Guid Nonce);

/// <summary>The answer.</summary>
/// <param name="Standing">What came of it.</param>
/// <param name="Nonce">What the one asked has written into its own slot, once it had seen the asker's.</param>
internal sealed record ProofReply(ProofStanding Standing, Guid Nonce);

/// <summary>How a node that is asked stands to a disk.</summary>
internal enum ProofStanding
{
    /// <summary>It saw the nonce, and wrote one itself.</summary>
    Seen,

    /// <summary>The nonce is not on the disk that it uses.</summary>
    NotSeen,

    /// <summary>It does not use the disk.</summary>
    NotOpen,

    /// <summary>It is looking at the disk itself, and may use it soon.</summary>
    Opening,

    /// <summary>Its own look at the disk failed, and says nothing.</summary>
    Failed,
}

/// <summary>Proves with a serving node, in both directions, that a disk is the one that it uses (design §14.19): a copy has the same label, but
/// not the nonce that was written a moment ago. Any thread.</summary>
/// <param name="self">This node.</param>
/// <param name="ask">Asks another node.</param>
internal sealed class ProofOfSameness(NodeIdentity self, Func<string, ProofRequest, CancellationToken, ValueTask<ProofReply>> ask)
{
    private const int Tries = 8;
    private static readonly TimeSpan Pause = TimeSpan.FromMilliseconds(250);

    /// <summary>The verdict on a disk that looks right by its label.</summary>
    /// <param name="state">The newest committed state.</param>
    /// <param name="set">The set in it.</param>
    /// <param name="disk">The disk.</param>
    /// <param name="verdict">By its label: usable.</param>
    /// <param name="device">The open device.</param>
    /// <param name="own">For bounded calls to it.</param>
    /// <param name="cancellationToken">Gives up.</param>
    /// <exception cref="IOException">The disk does not answer, or fails.</exception>
    public async Task<DiskVerdict> ProveAsync(
        ClusterState state, SetState set, DiskState disk, DiskVerdict verdict, IBlockDevice device, NodeDisk own, CancellationToken cancellationToken)
    {
        var peers = set.Members.Values.Where(member => member.Node != self.Name && Duties.IsJoined(state.Nodes[member.Node], member)).ToList();
        if (peers.Count == 0) return verdict; // Nobody serves: the activation's stamp is the proof for those who come later.
        var outcome = "";
        for (var attempt = 0; attempt < Tries; attempt++)
        {
            if (attempt > 0) await Task.Delay(Pause, cancellationToken);
            var nonce = Guid.NewGuid();
            await WriteAsync(set, disk, set.Members[self.Name].SlotNumber, nonce, device, own, cancellationToken);
            var mustWait = false;
            foreach (var peer in peers)
            {
                var reply = await AskAsync(peer.Node, new ProofRequest(set.Name, disk.Id, nonce), cancellationToken);
                if (reply.Standing == ProofStanding.NotOpen) continue;
                // Of two that look at a disk that nobody uses yet, the first by name goes first.
                if (reply.Standing == ProofStanding.Opening && string.CompareOrdinal(self.Name, peer.Node) < 0) continue;
                mustWait = true;
                outcome = $"node '{peer.Node}' could not be asked about it";
                if (reply.Standing is ProofStanding.Failed or ProofStanding.Opening) continue;
                outcome = $"node '{peer.Node}' uses another one: what is written here does not show there";
                if (reply.Standing == ProofStanding.Seen)
                {
                    var seen = await own.RunAsync(() => Read(set, disk, peer.SlotNumber, device), cancellationToken);
                    if (seen == reply.Nonce) return verdict;
                    outcome = $"node '{peer.Node}' uses another one: what is written there does not show here";
                }

                if (attempt < 2) break; // A check of the disk may have wiped the nonce out.
                return new DiskVerdict(
                    DiskFinding.Cloned,
                    $"disk '{disk.Name}' ({disk.PathOn(self.Name)}) is a copy of the disk: its label is right, but {outcome}; "
                    + $"correct the path on '{self.Name}' (raftmirror disk set {set.Name} {disk.Name} --path {self.Name}=PATH), or take the copy away",
                    verdict.Stamp);
            }

            if (!mustWait) return verdict; // No other node uses it.
        }

        return new DiskVerdict(
            DiskFinding.Silent,
            $"disk '{disk.Name}' ({disk.PathOn(self.Name)}) is not known yet to be the one that the others use: {outcome}", verdict.Stamp);
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
        return await own.RunAsync(() => Read(set, disk, peer.SlotNumber, device), cancellationToken) == reply.Nonce
            ? ProofStanding.Seen : ProofStanding.NotSeen;
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
            var seen = await own.RunAsync(() => Read(set, disk, askerSlot, device), cancellationToken);
            if (seen != request.Nonce) return new ProofReply(ProofStanding.NotSeen, default);
            var nonce = Guid.NewGuid();
            await WriteAsync(set, disk, set.Members[self.Name].SlotNumber, nonce, device, own, cancellationToken);
            return new ProofReply(ProofStanding.Seen, nonce);
        }
        catch (IOException)
        {
            return new ProofReply(ProofStanding.Failed, default);
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
            return new ProofReply(ProofStanding.Failed, default);
        }
    }

    private static async Task WriteAsync(
        SetState set, DiskState disk, int slot, Guid nonce, IBlockDevice device, NodeDisk own, CancellationToken cancellationToken)
    {
        var status = await own.RunAsync(() => SamenessProof.Write(device, StateWords.Layout(set, disk), slot, disk.Id, nonce), cancellationToken);
        if (status != DeviceStatus.Ok) throw new IOException($"a nonce could not be written ({status})");
    }

    private static Guid? Read(SetState set, DiskState disk, int slot, IBlockDevice device)
    {
        var status = SamenessProof.Read(device, StateWords.Layout(set, disk), slot, disk.Id, out var nonce);
        return status == DeviceStatus.Ok ? nonce : throw new IOException($"a nonce could not be read ({status})");
    }
}
