using System.Globalization;

namespace RaftMirror.Benchmarks.Cluster;

/// <summary>Counters of the machine and of some processes at one moment.</summary>
/// <param name="TotalTicks">Processor time of all kinds, idle included, over all processors.</param>
/// <param name="IdleTicks">Idle and waiting for disks.</param>
/// <param name="StealTicks">Taken by the host.</param>
/// <param name="ServerTicks">User and system time of the servers.</param>
/// <param name="OwnTicks">That of this process and of its children that have ended: the load generators.</param>
/// <param name="DeviceFlushes">Flushes that the disk has completed; null if the file system's device does not count them.</param>
internal sealed record MachineState(
    long TotalTicks, long IdleTicks, long StealTicks, long ServerTicks, long OwnTicks, long? DeviceFlushes)
{
    /// <summary>Clock ticks per second in /proc, 100 on every Linux that this runs on.</summary>
    public const double TicksPerSecond = 100;

    public static MachineState Now(IEnumerable<int> servers, string directory)
    {
        var cpu = Numbers(File.ReadLines("/proc/stat").First()).ToArray();
        var own = ProcessFields("self");
        return new MachineState(
            cpu.Take(8).Sum(), cpu[3] + cpu[4], cpu[7],
            servers.Sum(pid => ProcessFields(pid.ToString(CultureInfo.InvariantCulture)) is var fields ? fields[0] + fields[1] : 0),
            own.Sum(), Flushes(directory));
    }

    /// <summary>Microseconds of processor time that the servers took since <paramref name="before"/>.</summary>
    public double ServerMicrosecondsSince(MachineState before) => (ServerTicks - before.ServerTicks) * 1e6 / TicksPerSecond;

    /// <summary>The share of the machine that neither servers nor load generator used, nor was idle.</summary>
    public double ForeignShareSince(MachineState before)
    {
        var total = TotalTicks - before.TotalTicks;
        var busy = total - (IdleTicks - before.IdleTicks);
        return total == 0 ? 0 : Math.Max(0, busy - (ServerTicks - before.ServerTicks) - (OwnTicks - before.OwnTicks)) / (double)total;
    }

    /// <summary>utime, stime, cutime, cstime: fields 14 to 17; the name, in parentheses, may hold blanks.</summary>
    private static long[] ProcessFields(string pid)
    {
        var text = File.ReadAllText($"/proc/{pid}/stat");
        return [.. Numbers(text[(text.LastIndexOf(')') + 2)..]).Skip(10).Take(4)];
    }

    /// <summary>All words but the first as numbers.</summary>
    private static IEnumerable<long> Numbers(string line) =>
        line.Split(' ', StringSplitOptions.RemoveEmptyEntries).Skip(1).Select(word => long.Parse(word, CultureInfo.InvariantCulture));

    /// <summary>Field 18 of the line in diskstats of the device that holds a directory.</summary>
    private static long? Flushes(string directory)
    {
        var mounts = File.ReadLines("/proc/self/mountinfo").Select(line => line.Split(' '))
            .Where(fields => directory == fields[4] || directory.StartsWith(fields[4].TrimEnd('/') + "/", StringComparison.Ordinal));
        if (mounts.MaxBy(fields => fields[4].Length) is not { } mount) return null;
        var number = mount[2].Split(':');
        var line = File.ReadLines("/proc/diskstats").Select(text => text.Split(' ', StringSplitOptions.RemoveEmptyEntries))
            .FirstOrDefault(fields => fields[0] == number[0] && fields[1] == number[1]);
        return line is { Length: >= 19 } ? long.Parse(line[18], CultureInfo.InvariantCulture) : null;
    }
}
