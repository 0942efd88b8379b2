using System.Runtime.InteropServices;

namespace RaftMirror.Integration.Tests.Harness;

/// <summary>Signals to processes that this test started.</summary>
internal static partial class Signals
{
    public const int Kill = 9;
    public const int Continue = 18;
    public const int Stop = 19;
    public const int Terminate = 15;

    public static void Send(int processId, int signal)
    {
        // Not 0 or negative: those would reach whole process groups.
        ArgumentOutOfRangeException.ThrowIfLessThanOrEqual(processId, 1);
        if (NativeKill(processId, signal) != 0)
            throw new IOException($"kill({processId}, {signal}) failed with errno {Marshal.GetLastPInvokeError()}.");
    }

    [LibraryImport("libc", EntryPoint = "kill", SetLastError = true)]
    [DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
    private static partial int NativeKill(int processId, int signal);
}
