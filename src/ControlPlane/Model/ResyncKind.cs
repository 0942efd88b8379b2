namespace RaftMirror.ControlPlane.Model;

/// <summary>Kind of a resync.</summary>
public enum ResyncKind
{
    /// <summary>Regions that a crashed writer left marked (or all, when its log was in doubt).</summary>
    Optimized,

    /// <summary>A new submirror gets everything.</summary>
    Submirror,
}
