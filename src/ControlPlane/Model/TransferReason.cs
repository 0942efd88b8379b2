namespace RaftMirror.ControlPlane.Model;

/// <summary>Why ownership moves.</summary>
public enum TransferReason
{
    /// <summary>An operator asked.</summary>
    Planned,

    /// <summary>A client writes on another node.</summary>
    Write,

    /// <summary>A resync needs an owner.</summary>
    Resync,

    /// <summary>The owner gave it up: drained, left, stopped.</summary>
    Released,

    /// <summary>The owner was fenced, or its log abandoned.</summary>
    Lost,

    /// <summary>The resync for which there was an owner has ended.</summary>
    ResyncEnded,
}
