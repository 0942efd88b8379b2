namespace RaftMirror.DataPlane.Metadata;

/// <summary>How a node that is asked stands to a disk.</summary>
public enum ProofStanding
{
    /// <summary>It saw the nonce, and wrote one itself.</summary>
    Seen,

    /// <summary>The nonce is not on the disk that it shows.</summary>
    NotSeen,

    /// <summary>It neither uses the disk nor has claimed it.</summary>
    NotOpen,

    /// <summary>It could not be asked, or its own look at the disk failed: that says nothing.</summary>
    Failed,
}
