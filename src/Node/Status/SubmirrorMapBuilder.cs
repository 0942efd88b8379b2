using RaftMirror.Contracts;

namespace RaftMirror.Node.Status;

/// <summary>Says where each submirror's bytes lie, with the paths of the node that answers.</summary>
internal static class SubmirrorMapBuilder
{
    /// <returns>Null if the object does not exist; <paramref name="missing"/> says which.</returns>
    public static IReadOnlyList<SubmirrorMap>? Build(StateView view, string setName, string volumeName, out string? missing)
    {
        missing = null;
        if (view.State.Set(setName) is not { } set)
        {
            missing = $"There is no disk set '{setName}'.";
            return null;
        }

        if (!set.Volumes.TryGetValue(volumeName, out var volume))
        {
            missing = $"There is no volume '{setName}/{volumeName}'.";
            return null;
        }

        return
        [
            .. volume.Submirrors.Select(leg => new SubmirrorMap(
                leg.Name,
                [
                    .. leg.Extents.Select(extent => new MapExtent(
                        extent.Disk,
                        set.Disks[extent.Disk].PathOn(view.AnsweredBy),
                        extent.DiskOffsetBytes,
                        extent.VolumeOffsetBytes,
                        extent.LengthBytes)),
                ])),
        ];
    }
}
