using RaftMirror.Primitives;

namespace RaftMirror.DataPlane.Metadata;

/// <summary>How far a node has come with a disk.</summary>
public enum ClaimPhase
{
    /// <summary>It shows nothing: whoever asks hears that it does not use the disk.</summary>
    None,

    /// <summary>It shows the disk that it wants to use to whoever asks, and does no I/O for clients to it.</summary>
    Claimed,

    /// <summary>It may use it.</summary>
    InUse,
}

/// <summary>One node's part in keeping all nodes on one disk: which steps must come in which order (ADR 0020). Claim, then read who serves the set, then ask
/// each of them, then use. A core; its owner calls it on one thread at a time.</summary>
public sealed class DiskClaim
{
    /// <summary>How far it has come.</summary>
    public ClaimPhase Phase { get; private set; }

    /// <summary>A device is open, and shown from now on. Before this node reads who serves the set.</summary>
    public void Claim()
    {
        Invariant.Require(Phase != ClaimPhase.InUse, "A disk in use is not claimed again: others have compared theirs with it.");
        Phase = ClaimPhase.Claimed;
    }

    /// <summary>The question to the others.</summary>
    /// <param name="self">This node.</param>
    /// <param name="isJoined">This incarnation serves the set.</param>
    /// <param name="others">All other nodes that serve it, the silent ones too, by a state that was read after <see cref="Claim"/>, with all that
    /// was committed before.</param>
    public SamenessLook Ask(string self, bool isJoined, IEnumerable<string> others)
    {
        Invariant.Require(Phase == ClaimPhase.Claimed, "Claimed before the others are named: else two nodes may both pass unseen.");
        return new SamenessLook(self, isJoined, others).Begun();
    }

    /// <summary>Ends a look. A node that did not serve the set yet goes on showing its disk, and asks again when it does: nobody asked it.</summary>
    public void End(SamenessLook look)
    {
        ArgumentNullException.ThrowIfNull(look);
        Invariant.Require(Phase == ClaimPhase.Claimed, "A look ends where it began.");
        if (look.Verdict != SamenessVerdict.Same) Phase = ClaimPhase.None;
        else if (look.IsJoined) Phase = ClaimPhase.InUse;
    }

    /// <summary>Nothing is shown any more; no I/O goes to it.</summary>
    public void Drop() => Phase = ClaimPhase.None;
}
