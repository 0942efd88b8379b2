namespace RaftMirror.Primitives.Domain;

/// <summary>Who may write a mirror at one time.</summary>
public enum WriterMode
{
    /// <summary>The owner; ownership moves on demand.</summary>
    One,

    /// <summary>Every joined node at once; an owner only while a resync runs. Always so for ABR.</summary>
    All,
}
