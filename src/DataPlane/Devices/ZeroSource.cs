using System.Runtime.InteropServices;

namespace RaftMirror.DataPlane.Devices;

/// <summary>Writes real zeros in slices from one shared buffer, for devices that cannot do it themselves. Any thread.</summary>
internal static unsafe class ZeroSource
{
    private const int SliceBytes = 1 << 20;

    // Never written after start-up and never freed, so that it can be shared without an owner.
    private static readonly nint Zeros = (nint)Allocate();

    /// <summary>Writes zeros with <see cref="IBlockDevice.Write"/>; ends at the first failure.</summary>
    public static DeviceStatus Write(IBlockDevice device, long offset, long lengthBytes)
    {
        while (lengthBytes > 0)
        {
            var slice = (int)Math.Min(lengthBytes, SliceBytes);
            var status = device.Write(offset, new ReadOnlySpan<byte>((void*)Zeros, slice));
            if (status != DeviceStatus.Ok) return status;
            offset += slice;
            lengthBytes -= slice;
        }

        return DeviceStatus.Ok;
    }

    private static void* Allocate()
    {
        var memory = NativeMemory.AlignedAlloc(SliceBytes, AlignedBufferPool.AlignmentBytes);
        NativeMemory.Clear(memory, SliceBytes);
        return memory;
    }
}
