namespace RaftMirror.ControlPlane.Model;

/// <summary>State of a node's current incarnation.</summary>
public enum NodeStatus
{
    /// <summary>Registered, never granted a lease: an older incarnation is not yet fenced and merged (design §6.6).</summary>
    Starting,

    /// <summary>May hold a lease, join sets, own volumes.</summary>
    Up,

    /// <summary>As <see cref="Up"/>, but gets no new ownership.</summary>
    Draining,

    /// <summary>Not heard from: gets no lease until the suspicion is cleared, and may be fenced.</summary>
    Suspect,

    /// <summary>Proven gone; a dirty log of it (or of its predecessor) is not merged yet.</summary>
    Fenced,

    /// <summary>Gone, and nothing is owed to it.</summary>
    Down,
}
