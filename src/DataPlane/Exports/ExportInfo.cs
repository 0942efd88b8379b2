namespace RaftMirror.DataPlane.Exports;

/// <summary>What a client is told about an export; the same on every node.</summary>
/// <param name="Name">SET/VOLUME, UTF-8, at most 4096 bytes.</param>
/// <param name="Description">For people.</param>
/// <param name="SizeBytes">A multiple of <paramref name="MinimumBlockBytes"/>.</param>
/// <param name="MinimumBlockBytes">Alignment of every request, a power of two from 512 to 4096.</param>
/// <param name="PreferredBlockBytes">A power of two, at least 4096.</param>
/// <param name="IsReadOnly">No write, trim or write-zeroes.</param>
/// <param name="IsMultiConn">True only if a flush on one connection covers acknowledged writes of all, and every
/// connection (on every node) sees them.</param>
public sealed record ExportInfo(
    string Name,
    string Description,
    long SizeBytes,
    int MinimumBlockBytes,
    int PreferredBlockBytes,
    bool IsReadOnly,
    bool IsMultiConn);
