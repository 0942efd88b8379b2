using System.Net.Sockets;
using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace RaftMirror.DataPlane.Nbd.Server;

/// <summary>Part of a gathered send; the layout of struct iovec.</summary>
[StructLayout(LayoutKind.Sequential)]
internal unsafe struct IoVector
{
    public byte* Base;
    public nint Length;
}

/// <summary>Socket calls that the framework does not offer: a send that gathers native memory and never waits (an
/// engine's thread may carry it out, and a client that does not read must not stop an engine), and a receive that
/// reports errors without exceptions. The handle counts as in use during a call, so closing it cannot hit another file.</summary>
internal static unsafe partial class SocketCalls
{
    /// <summary>The call would wait.</summary>
    public const int WouldBlock = -1;

    /// <summary>The connection is broken.</summary>
    public const int Broken = -2;

    private const int MsgDontWait = 0x40;
    private const int MsgNoSignal = 0x4000;
    private const int EIntr = 4;
    private const int EAgain = 11;
    private const int LevelSocket = 1;
    private const int TimestampNs = 35;

    /// <summary>Receives what is there, without waiting.</summary>
    /// <param name="socket">The connection.</param>
    /// <param name="target">Where to.</param>
    /// <param name="maxBytes">At most so many.</param>
    /// <param name="stampNs">CLOCK_REALTIME of when the newest of these bytes, or one behind them, came; 0 if unknown.</param>
    /// <returns>Bytes received; 0 at the end of the stream; <see cref="WouldBlock"/> or <see cref="Broken"/>.</returns>
    public static int ReceiveNow(SafeSocketHandle socket, byte* target, int maxBytes, out long stampNs)
    {
        const int controlBytes = 64;
        var control = stackalloc long[controlBytes / sizeof(long)];
        var vector = new IoVector { Base = target, Length = maxBytes };
        while (true)
        {
            var message = new MessageHeader { Vectors = &vector, VectorCount = 1, Control = control, ControlLength = controlBytes };
            var received = (int)NativeReceiveMessage(socket, &message, MsgDontWait);
            stampNs = received > 0 ? Stamp(message) : 0;
            if (received >= 0) return received;
            var error = Marshal.GetLastPInvokeError();
            if (error != EIntr) return error == EAgain ? WouldBlock : Broken;
        }
    }

    /// <summary>Asks for the stamps of <see cref="ReceiveNow"/>.</summary>
    /// <returns>False if the system has none.</returns>
    public static bool TryStampReceives(SafeSocketHandle socket)
    {
        var on = 1;
        return NativeSetOption(socket, LevelSocket, TimestampNs, &on, sizeof(int)) == 0;
    }

    /// <summary>Bytes that have come and were not received; negative if the system does not say.</summary>
    public static int Unread(SafeSocketHandle socket)
    {
        if (socket.IsClosed) return -1;
        var bytes = 0;
        try
        {
            return NativeIoctl(socket, 0x541B, &bytes) == 0 ? bytes : -1; // FIONREAD
        }
        catch (ObjectDisposedException)
        {
            return -1; // Closed just now.
        }
    }

    // The first control message, if it is the stamp: struct cmsghdr (length, level, type), then struct timespec.
    private static long Stamp(in MessageHeader message)
    {
        if (message.ControlLength < 32) return 0;
        var control = (long*)message.Control;
        var (level, type) = ((int)control[1], (int)(control[1] >> 32));
        return level == LevelSocket && type == TimestampNs ? (control[2] * 1_000_000_000) + control[3] : 0;
    }

    /// <summary>An eventfd(2), to be signalled once.</summary>
    public static SafeFileHandle CreateWake()
    {
        const int closeOnExec = 0x80000, nonBlocking = 0x800;
        var descriptor = NativeEventFd(0, closeOnExec | nonBlocking);
        if (descriptor >= 0) return new SafeFileHandle(descriptor, ownsHandle: true);
        throw new IOException($"eventfd: {Marshal.GetPInvokeErrorMessage(Marshal.GetLastPInvokeError())}");
    }

    /// <summary>Signals an eventfd; it stays signalled.</summary>
    public static void Signal(SafeFileHandle wake)
    {
        ulong one = 1;
        NativeWrite(wake, &one, sizeof(ulong)); // Fails only if the counter is full, that is, signalled.
    }

    /// <summary>Sends what fits without waiting.</summary>
    /// <returns>Bytes sent, <see cref="WouldBlock"/> or <see cref="Broken"/>.</returns>
    public static long Send(SafeSocketHandle socket, ReadOnlySpan<IoVector> parts)
    {
        fixed (IoVector* vectors = parts)
        {
            var message = new MessageHeader { Vectors = vectors, VectorCount = parts.Length };
            while (true)
            {
                var sent = NativeSendMessage(socket, &message, MsgDontWait | MsgNoSignal);
                if (sent >= 0) return sent;
                var error = Marshal.GetLastPInvokeError();
                if (error == EIntr) continue;
                return error == EAgain ? WouldBlock : Broken;
            }
        }
    }

    /// <summary>Mode 0600 for a path.</summary>
    public static void SetOwnerOnly(string path)
    {
        if (NativeChangeMode(path, 0x180) == 0) return;
        throw new IOException($"chmod {path}: {Marshal.GetPInvokeErrorMessage(Marshal.GetLastPInvokeError())}");
    }

    [LibraryImport("libc", EntryPoint = "recvmsg", SetLastError = true)]
    private static partial nint NativeReceiveMessage(SafeSocketHandle socket, MessageHeader* message, int flags);

    [LibraryImport("libc", EntryPoint = "setsockopt", SetLastError = true)]
    private static partial int NativeSetOption(SafeSocketHandle socket, int level, int option, int* value, int valueBytes);

    [LibraryImport("libc", EntryPoint = "ioctl", SetLastError = true)]
    private static partial int NativeIoctl(SafeSocketHandle socket, nuint request, int* value);

    [LibraryImport("libc", EntryPoint = "sendmsg", SetLastError = true)]
    private static partial nint NativeSendMessage(SafeSocketHandle socket, MessageHeader* message, int flags);

    [LibraryImport("libc", EntryPoint = "eventfd", SetLastError = true)]
    private static partial int NativeEventFd(uint initial, int flags);

    [LibraryImport("libc", EntryPoint = "write", SetLastError = true)]
    private static partial nint NativeWrite(SafeFileHandle file, void* buffer, nint lengthBytes);

    [LibraryImport("libc", EntryPoint = "chmod", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial int NativeChangeMode(string path, uint mode);

    // struct msghdr of 64-bit Linux.
    [StructLayout(LayoutKind.Sequential)]
    private struct MessageHeader
    {
        public void* Name;
        public nint NameLength;
        public IoVector* Vectors;
        public nint VectorCount;
        public void* Control;
        public nint ControlLength;
        public int Flags;
    }
}
