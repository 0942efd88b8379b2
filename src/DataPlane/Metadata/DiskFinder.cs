using RaftMirror.DataPlane.Devices;
using RaftMirror.Primitives;

namespace RaftMirror.DataPlane.Metadata;

/// <summary>The ids in the label of the disk that is looked for.</summary>
/// <param name="Cluster">Cluster.</param>
/// <param name="Set">Disk set.</param>
/// <param name="Disk">Disk.</param>
public readonly record struct DiskIds(Guid Cluster, Guid Set, Guid Disk);

/// <summary>Where a disk is.</summary>
/// <param name="Path">The path to open; the configured one if the disk was found nowhere.</param>
/// <param name="IsElsewhere">It is not under its configured path.</param>
/// <param name="Doubt">Two different things carry its label; null else. Then neither is taken.</param>
public sealed record DiskPlace(string Path, bool IsElsewhere, string? Doubt);

/// <summary>Finds a disk by its label when its path has changed: names of devices come in another order after a reboot, a controller is
/// replaced, a file was moved. The configured path counts as long as the disk is there; then the paths of the set's other disks
/// (names that were exchanged), then everything in the given directories; one that does not answer is passed over. Reads labels only,
/// changes nothing. Blocks: call it where that may take its time. Any thread.</summary>
/// <param name="directories">Where to look; those that are missing hold nothing.</param>
public sealed class DiskFinder(IReadOnlyList<string> directories)
{
    /// <summary>Where it is looked by default: links that udev names after the hardware.</summary>
    public const string DefaultDirectory = "/dev/disk/by-id";

    /// <summary>Entries of one directory that are looked at.</summary>
    public const int MaxEntries = 4096;

    private readonly BoundedLooks _looks = new(TimeSpan.FromMilliseconds(300));

    /// <summary>Where disks are looked for besides their configured paths.</summary>
    public IReadOnlyList<string> Directories => directories;

    /// <summary>Looks for a disk.</summary>
    /// <param name="ids">What its label says.</param>
    /// <param name="configured">Its configured path.</param>
    /// <param name="others">Configured paths of the set's other disks.</param>
    public DiskPlace Find(DiskIds ids, string configured, IEnumerable<string> others)
    {
        if (Carries(configured, ids)) return new DiskPlace(configured, false, null);
        var found = new List<string>();
        var seen = new HashSet<FileIdentity>(); // udev makes several links to one disk.
        foreach (var path in others.Concat(directories.SelectMany(Entries)))
        {
            if (_looks.Ask(path, () => IsNew(path, seen) && Carries(path, ids))) found.Add(path);
        }

        return found.Count switch
        {
            0 => new DiskPlace(configured, false, null),
            1 => new DiskPlace(found[0], true, null),
            _ => new DiskPlace(configured, false, $"{string.Join(" and ", found)} both carry its label: take the copy away"),
        };
    }

    private static bool IsNew(string path, HashSet<FileIdentity> seen)
    {
        if (FileIdentity.Of(path) is not { } identity) return false;
        lock (seen) return seen.Add(identity); // A look that hung may end late.
    }

    /// <summary>True if the label under a path carries these ids. Never throws for what is there.</summary>
    public static bool Carries(string path, DiskIds ids)
    {
        try
        {
            if (FileIdentity.Of(path) is null) return false;
            using var device = FileBlockDevice.Open(path, path, isDirect: true, writable: false);
            return device.SizeBytes >= 2 * DiskLayout.LabelBytes && LabelStore.Read(device, out var label, out _) == DeviceStatus.Ok && label is not null
                && label.Cluster == ids.Cluster && label.Set == ids.Set && label.Disk == ids.Disk;
        }
        catch (Exception gone) when (gone is IOException or UnauthorizedAccessException)
        {
            return false;
        }
    }

    private static IEnumerable<string> Entries(string directory)
    {
        try
        {
            // A name of a partition is a path of its own; whichever carries the label is the disk. In order, so that all runs agree.
            return Directory.EnumerateFiles(directory).Take(MaxEntries).Order(StringComparer.Ordinal).ToArray();
        }
        catch (Exception gone) when (gone is IOException or UnauthorizedAccessException)
        {
            return [];
        }
    }
}
