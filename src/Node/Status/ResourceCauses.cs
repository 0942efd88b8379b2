using RaftMirror.Contracts;
using RaftMirror.ControlPlane.Model;

namespace RaftMirror.Node.Status;

/// <summary>What has run out on the nodes and disks of a set, by what the nodes say now.</summary>
internal static class ResourceCauses
{
    public static IEnumerable<HealthCause> Of(SetState set, LiveFigures live)
    {
        foreach (var volume in set.Volumes.Values.OrderBy(volume => volume.Number))
        {
            var name = $"{set.Name}/{volume.Name}";
            if (live.Volumes.GetValueOrDefault(name)?.Full is { } full)
            {
                yield return new HealthCause(
                    "RM1605 NO_SPACE", name, $"clients are answered that there is no space (ENOSPC): {full}; no leg is lost by that",
                    "free space where these disks lie; writes go on by themselves");
            }
        }

        foreach (var member in set.Members.Keys)
        {
            foreach (var cause in live.Nodes.GetValueOrDefault(member)?.Causes ?? []) yield return cause with { Object = $"{set.Name}:{member}" };
        }
    }
}
