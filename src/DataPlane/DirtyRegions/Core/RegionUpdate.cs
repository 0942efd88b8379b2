namespace RaftMirror.DataPlane.DirtyRegions.Core;

/// <summary>One change of a region's mark.</summary>
/// <param name="Volume">The volume's number in its disk set, never reused.</param>
/// <param name="Region">Region number: byte offset / region size.</param>
/// <param name="IsDirty">True marks, false clears.</param>
public readonly record struct RegionUpdate(uint Volume, long Region, bool IsDirty);
