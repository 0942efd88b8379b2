namespace RaftMirror.DataPlane.Devices;

/// <summary>The error number behind a device call's status, as errno(3) is: of the last call that failed on this thread. For texts, never for decisions.</summary>
public static class DeviceErrno
{
    [ThreadStatic]
    private static int _last;

    /// <summary>0 if no device said one since it was reset.</summary>
    public static int Last
    {
        get => _last;
        set => _last = value;
    }
}
