namespace RaftMirror.DataPlane.Nbd.Server;

/// <summary>Memory of requests that are not answered yet, and what its bounds hold back.</summary>
/// <param name="Throttled">Clients that are not read from for want of it, for <see cref="NoticedMs"/> or longer.</param>
/// <param name="LongestMs">For how long the longest of all has not been read from; 0 for none.</param>
/// <param name="IsSharedUp">Some of them since all together have what they may have; else since each has.</param>
/// <param name="SharedBytes">What all together hold beyond what each has of its own.</param>
/// <param name="MaxSharedBytes">The most of that.</param>
/// <param name="MaxBytes">The most of one client.</param>
/// <param name="MaxRequests">The most requests of one client.</param>
public sealed record NbdMemory(
    int Throttled, long LongestMs, bool IsSharedUp, long SharedBytes, long MaxSharedBytes, long MaxBytes, int MaxRequests)
{
    /// <summary>A client that sends as fast as it can waits for moments all the time: that is no cause for anybody.</summary>
    public const long NoticedMs = 2000;
}
