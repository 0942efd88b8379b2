namespace RaftMirror.Contracts;

/// <summary>Ids of requests: UUIDv7, so that their age can be judged.</summary>
internal static class RequestIds
{
    public static Guid New() => Guid.CreateVersion7();

    /// <summary>An id made at a time, unix ms.</summary>
    public static Guid At(long unixMs) => Guid.CreateVersion7(DateTimeOffset.FromUnixTimeMilliseconds(unixMs));

    public static bool IsValid(Guid id) => id.Version == 7 && (id.Variant & 0xC) == 0x8;
}
