using System.Net.Sockets;
using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace RaftMirror.Primitives;

/// <summary>Waits for sockets on the caller's own thread: poll(2). Any thread. The handle counts as in use meanwhile, so closing it cannot hit
/// another file; disposing the socket ends the wait.</summary>
public static unsafe partial class Readiness
{
    private const int EIntr = 4;
    private const short PollIn = 1;
    private const short PollOut = 4;

    /// <summary>Waits until there is something to receive, or the connection has ended.</summary>
    /// <param name="socket">Connected.</param>
    /// <param name="timeoutMilliseconds">-1: no limit.</param>
    /// <returns>False if nothing of that happened in time.</returns>
    /// <exception cref="ObjectDisposedException">The socket was disposed before.</exception>
    public static bool WaitReadable(SafeSocketHandle socket, int timeoutMilliseconds = -1) => Wait(socket, PollIn, timeoutMilliseconds);

    /// <summary>As <see cref="WaitReadable(SafeSocketHandle, int)"/>, or until <paramref name="wake"/> can be read.</summary>
    public static void WaitReadable(SafeSocketHandle socket, SafeFileHandle wake)
    {
        bool socketAdded = false, wakeAdded = false;
        try
        {
            socket.DangerousAddRef(ref socketAdded);
            wake.DangerousAddRef(ref wakeAdded);
            var descriptors = stackalloc Descriptor[2];
            descriptors[0] = new Descriptor { Number = (int)socket.DangerousGetHandle(), Events = PollIn };
            descriptors[1] = new Descriptor { Number = (int)wake.DangerousGetHandle(), Events = PollIn };
            Poll(descriptors, 2, -1);
        }
        finally
        {
            if (socketAdded) socket.DangerousRelease();
            if (wakeAdded) wake.DangerousRelease();
        }
    }

    /// <summary>Waits until a send would get on, or the connection broke.</summary>
    /// <returns>False if nothing of that happened in time.</returns>
    public static bool WaitWritable(SafeSocketHandle socket, int timeoutMilliseconds) => Wait(socket, PollOut, timeoutMilliseconds);

    private static bool Wait(SafeSocketHandle socket, short events, int timeoutMilliseconds)
    {
        var added = false;
        try
        {
            socket.DangerousAddRef(ref added);
            var descriptor = new Descriptor { Number = (int)socket.DangerousGetHandle(), Events = events };
            return Poll(&descriptor, 1, timeoutMilliseconds) != 0;
        }
        finally
        {
            if (added) socket.DangerousRelease();
        }
    }

    private static int Poll(Descriptor* descriptors, nuint count, int timeoutMilliseconds)
    {
        int ready;
        do ready = NativePoll(descriptors, count, timeoutMilliseconds);
        while (ready < 0 && Marshal.GetLastPInvokeError() == EIntr);
        return ready;
    }

    [LibraryImport("libc", EntryPoint = "poll", SetLastError = true)]
    private static partial int NativePoll(Descriptor* descriptors, nuint count, int timeoutMilliseconds);

    // struct pollfd.
    [StructLayout(LayoutKind.Sequential)]
    private struct Descriptor
    {
        public int Number;
        public short Events;
        public short Returned;
    }
}
