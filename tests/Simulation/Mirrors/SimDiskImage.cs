using RaftMirror.DataPlane.Metadata;

namespace RaftMirror.Simulation.Mirrors;

/// <summary>A disk as it was at some moment, label and all.</summary>
internal sealed record SimDiskImage(string Disk, ulong[] Content, string?[] LastWriter, bool[] IsAllocated, LabelStamp Stamp);
