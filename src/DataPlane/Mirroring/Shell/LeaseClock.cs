using RaftMirror.Primitives;

namespace RaftMirror.DataPlane.Mirroring.Shell;

/// <summary>The clock of leases: advances in suspend, never steps. Any thread.</summary>
public interface ILeaseClock
{
    /// <summary>Nanoseconds of CLOCK_BOOTTIME.</summary>
    long NowNs { get; }
}

/// <summary><see cref="ILeaseClock"/> on this machine's boot time.</summary>
public sealed class BootTimeLeaseClock : ILeaseClock
{
    /// <summary>The one instance.</summary>
    public static BootTimeLeaseClock Instance { get; } = new();

    /// <inheritdoc/>
    public long NowNs => Linux.BootTimeNanoseconds();
}
