using System.Runtime.InteropServices;

namespace RaftMirror.Primitives;

/// <summary>Error numbers of the system, for people, and those that mean that something has run out.</summary>
public static class ErrnoText
{
    /// <summary>ENFILE: the whole system has too many files open.</summary>
    public const int TooManyInSystem = 23;

    /// <summary>EMFILE: this process has.</summary>
    public const int TooManyInProcess = 24;

    /// <summary>ENOSPC.</summary>
    public const int NoSpace = 28;

    /// <summary>EDQUOT: the user's share of the space is used up.</summary>
    public const int QuotaExceeded = 122;

    private const int NoMemory = 12;

    /// <summary>The system's sentence, name and number: "No space left on device (ENOSPC, errno 28)".</summary>
    public static string Of(int errno) => $"{Marshal.GetPInvokeErrorMessage(errno)} ({Name(errno)}errno {errno})";

    /// <summary>True if there is no room for more bytes: nothing is broken, and it works again once there is.</summary>
    public static bool IsOutOfSpace(int errno) => errno is NoSpace or QuotaExceeded;

    /// <summary>True if something that comes back is used up: space, descriptors or memory. Not for a flush, whose failure loses what was written
    /// before it.</summary>
    public static bool IsExhaustion(int errno) =>
        IsOutOfSpace(errno) || errno is TooManyInSystem or TooManyInProcess or NoMemory;

    private static string Name(int errno) => errno switch
    {
        5 => "EIO, ",
        6 => "ENXIO, ",
        NoMemory => "ENOMEM, ",
        19 => "ENODEV, ",
        TooManyInSystem => "ENFILE, ",
        TooManyInProcess => "EMFILE, ",
        27 => "EFBIG, ",
        NoSpace => "ENOSPC, ",
        30 => "EROFS, ",
        105 => "ENOBUFS, ",
        110 => "ETIMEDOUT, ",
        QuotaExceeded => "EDQUOT, ",
        _ => "",
    };
}
