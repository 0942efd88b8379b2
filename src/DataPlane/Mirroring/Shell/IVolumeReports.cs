using RaftMirror.DataPlane.Configuration;
using RaftMirror.DataPlane.DirtyRegions;
using RaftMirror.DataPlane.Mirroring.Core;
using RaftMirror.Primitives;

namespace RaftMirror.DataPlane.Mirroring.Shell;

/// <summary>What the data plane of one set tells the control plane. Each call must return at once (queue it) and may come from
/// any thread of the set's, never two at once for one volume. Reports may be lost: they are repeated, about every second,
/// until the configuration shows their effect, so each must be idempotent and carries what it was based on.</summary>
public interface IVolumeReports
{
    /// <summary>A write (or the repair of an owed region) waits here for ownership.</summary>
    /// <param name="volume">Volume number.</param>
    /// <param name="epochSeen">Owner epoch of the configuration that showed another owner or none.</param>
    void RequestOwnership(uint volume, ulong epochSeen);

    /// <summary>This node stopped, drained and flushed, as a transfer asked it to.</summary>
    void Released(uint volume, ReleaseReport report);

    /// <summary>A leg failed here.</summary>
    void LegFailed(uint volume, LegFailureReport report);

    /// <summary>This node did what the barrier asks for.</summary>
    /// <param name="volume">Volume number.</param>
    /// <param name="barrier">Its id.</param>
    /// <param name="marked">For a leg's return: runs [Start, Start + Length) of the regions that this node had marked.</param>
    void BarrierConfirmed(uint volume, ulong barrier, IReadOnlyList<ByteRange> marked);

    /// <summary>The resync got further.</summary>
    void ResyncProgressed(uint volume, ResyncProgressReport report);

    /// <summary>Nothing is owed any more, and all legs are flushed.</summary>
    void ResyncFinished(uint volume, ResyncFinishedReport report);

    /// <summary>This node's dirty log cannot be trusted or opened: it writes no logged volume of the set until the
    /// configuration names a slot of a higher generation, and none of its writes and copies to logged volumes is under way any more.
    /// Once per generation.</summary>
    /// <param name="slot">The slot in use.</param>
    /// <param name="failure">Why.</param>
    void DirtyLogFailed(SlotConfiguration slot, DirtyLogFailure failure);

    /// <summary>This node's dirty log of that slot is open, so its logged volumes can be written. Once per generation.</summary>
    void DirtyLogOpened(SlotConfiguration slot);

    /// <summary>This incarnation serves nothing any more: the storage refuses its key, or a write stands on some legs only and its
    /// lease did not come back in time to complete it. The node must come back as a new incarnation, after a merge.</summary>
    /// <param name="reason">The disk that refused, or what happened.</param>
    void Fenced(string reason);
}
