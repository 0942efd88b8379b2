namespace RaftMirror.Primitives.Domain;

/// <summary>Who may write at one time.</summary>
public enum WriterMode
{
    /// <summary>The owner.</summary>
    One,

    /// <summary>Every joined node.</summary>
    All,
}
