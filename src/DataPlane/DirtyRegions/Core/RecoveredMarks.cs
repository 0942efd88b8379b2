namespace RaftMirror.DataPlane.DirtyRegions.Core;

/// <summary>What a slot's log held. Any doubt makes everything dirty, never fewer regions than were marked.</summary>
/// <param name="IsEverythingDirty">True if the marks cannot be trusted to be complete.</param>
/// <param name="Doubt">What was doubtful, for people; null if nothing was.</param>
/// <param name="Marks">Dirty regions by volume number, sorted, each once. A superset of the truth is allowed.</param>
public sealed record RecoveredMarks(
    bool IsEverythingDirty,
    string? Doubt,
    IReadOnlyDictionary<uint, IReadOnlyList<long>> Marks);
