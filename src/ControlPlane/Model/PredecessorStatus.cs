namespace RaftMirror.ControlPlane.Model;

/// <summary>State of the incarnation before the current one, while it still matters.</summary>
public enum PredecessorStatus
{
    /// <summary>Not proven gone.</summary>
    Suspect,

    /// <summary>Proven gone; its dirty logs are being merged.</summary>
    Fenced,
}
