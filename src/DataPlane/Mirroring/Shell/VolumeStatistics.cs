namespace RaftMirror.DataPlane.Mirroring.Shell;

/// <summary>A volume's figures for status; a snapshot. Any thread.</summary>
/// <param name="Volume">Number.</param>
/// <param name="Name">SET/VOLUME.</param>
/// <param name="RegionBytes">Region size.</param>
/// <param name="OpenRegions">Regions marked dirty by this node.</param>
/// <param name="StaleRegions">Regions owed a resync, as far as this node knows.</param>
/// <param name="Clients">Open client connections on this node.</param>
/// <param name="RequestsInFlight">Client requests not answered yet.</param>
/// <param name="Resync">The resync that runs on this node, or null.</param>
public sealed record VolumeStatistics(
    uint Volume,
    string Name,
    int RegionBytes,
    long OpenRegions,
    long StaleRegions,
    int Clients,
    int RequestsInFlight,
    ResyncStatistics? Resync)
{
    /// <summary>Why clients were lately answered that there is no space: disk and error; null if they were not.</summary>
    public string? Full { get; init; }

    /// <summary>The oldest leg I/O that this node waits for; null if there is none.</summary>
    public VolumeWait? Wait { get; init; }

    /// <summary>The oldest client request that is held before its leg I/O, or after it; null if there is none.</summary>
    public VolumeHold? Held { get; init; }
}

/// <summary>A client request without leg I/O under way.</summary>
/// <param name="Reason">What it waits for.</param>
/// <param name="On">Node, disk or leg that this depends on; null if none is known.</param>
/// <param name="AgeMs">Since it came.</param>
/// <param name="Requests">Requests held.</param>
public sealed record VolumeHold(HoldReason Reason, string? On, long AgeMs, int Requests);

/// <summary>Leg I/O that a volume waits for.</summary>
/// <param name="Leg">Leg.</param>
/// <param name="Disk">Its disk.</param>
/// <param name="AgeMs">Since it was submitted.</param>
public sealed record VolumeWait(string Leg, string Disk, long AgeMs);

/// <summary>A resync that runs on this node.</summary>
/// <param name="Kind">"optimized" or "submirror".</param>
/// <param name="DoneBytes">Work done.</param>
/// <param name="TotalBytes">Work in all.</param>
/// <param name="BytesPerSecond">Since it began here.</param>
/// <param name="EtaSeconds">Work left / rate; null while there is no rate.</param>
public sealed record ResyncStatistics(string Kind, long DoneBytes, long TotalBytes, long BytesPerSecond, long? EtaSeconds);
