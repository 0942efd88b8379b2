using System.Net.Sockets;
using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;
using RaftMirror.Primitives;

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

    /// <summary>Receives at least one byte, waiting for it.</summary>
    /// <returns>Bytes received; 0 at the end of the stream; <see cref="Broken"/>.</returns>
    public static int Receive(SafeSocketHandle socket, byte* target, int maxBytes)
    {
        while (true)
        {
            var received = (int)NativeReceive(socket, target, maxBytes, 0);
            if (received >= 0) return received;
            switch (Marshal.GetLastPInvokeError())
            {
                case EIntr:
                    continue;
                case EAgain:
                    Readiness.WaitReadable(socket);
                    continue;
                default:
                    return Broken;
            }
        }
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

    [LibraryImport("libc", EntryPoint = "recv", SetLastError = true)]
    private static partial nint NativeReceive(SafeSocketHandle socket, byte* buffer, nint lengthBytes, int flags);

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
