using RaftMirror.DataPlane.Devices;

namespace RaftMirror.DataPlane.Mirroring.Core;

/// <summary>What is to be done about a write that some legs had no space for.</summary>
internal enum FullVerdict
{
    /// <summary>No leg in use is full.</summary>
    NoneFull,

    /// <summary>A readable leg has the bytes: those that are full lack data that others have, and are lost like any leg that fails.</summary>
    FullLegsAreLost,

    /// <summary>No readable leg has the bytes for good: the client is told that there is no space, and no leg is lost. What of the write came to stand on some
    /// legs is evened out first.</summary>
    NoSpace,
}

/// <summary>How a write ended on one leg.</summary>
/// <param name="Status">Of the leg as a whole.</param>
/// <param name="IsReadable">By the committed state as it is now.</param>
/// <param name="IsWritable">So too; a leg that is not in use any more has no say.</param>
/// <param name="Space">Where its space comes from; 0 if that is not known.</param>
internal readonly record struct LegOutcome(DeviceStatus Status, bool IsReadable, bool IsWritable, ulong Space = 0);

/// <summary>The rule of design §14.22: that a disk is full is no fault of it. Pure; asked when every leg of the write has ended.
/// <para>Where two legs take their space from one file system, that one of them got the last of it says nothing about the other: such a write is taken
/// back, and no leg is lost. A leg whose space is its own, and that has the bytes, keeps the volume writable without the full ones.</para></summary>
internal static class FullLegs
{
    public static FullVerdict Judge(ReadOnlySpan<LegOutcome> legs)
    {
        var isFull = false;
        foreach (var leg in legs) isFull |= leg is { IsWritable: true, Status: DeviceStatus.NoSpace };
        return !isFull ? FullVerdict.NoneFull : HolderOf(legs) >= 0 ? FullVerdict.FullLegsAreLost : FullVerdict.NoSpace;
    }

    /// <summary>The leg for whose sake full ones are lost: the first that can be read and has the bytes; -1 if there is none.</summary>
    public static int HolderOf(ReadOnlySpan<LegOutcome> legs)
    {
        for (var i = 0; i < legs.Length; i++)
        {
            if (legs[i] is { IsWritable: true, IsReadable: true, Status: DeviceStatus.Ok } && !SharesSpaceOfAFullOne(legs[i], legs)) return i;
        }

        return -1;
    }

    private static bool SharesSpaceOfAFullOne(LegOutcome leg, ReadOnlySpan<LegOutcome> legs)
    {
        if (leg.Space == 0) return false;
        foreach (var other in legs)
        {
            if (other is { IsWritable: true, Status: DeviceStatus.NoSpace } && other.Space == leg.Space) return true;
        }

        return false;
    }

    /// <summary>The status of a leg after another of its calls ended: a fault outranks a lack of space, which outranks success.</summary>
    public static DeviceStatus Worse(DeviceStatus soFar, DeviceStatus status) =>
        status == DeviceStatus.Ok || (status == DeviceStatus.NoSpace && soFar != DeviceStatus.Ok) ? soFar : status;
}
