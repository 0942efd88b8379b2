namespace RaftMirror.Primitives.Domain;

/// <summary>State of a leg; the words are those of Solaris' metastat.</summary>
public enum LegState
{
    /// <summary>Read and written.</summary>
    Okay,

    /// <summary>New: written, not read, until its resync ended.</summary>
    Attached,

    /// <summary>Being copied to: written, not read.</summary>
    Resyncing,

    /// <summary>Failed; another leg has the data. Neither read nor written.</summary>
    Maintenance,

    /// <summary>Failed, but the only source: still read and written.</summary>
    LastErred,

    /// <summary>Its disk is lost, but not its data: neither read nor written; no mark is cleared meanwhile.</summary>
    Offline,
}
