using RaftMirror.Contracts;

namespace RaftMirror.Cli.CommandLine;

/// <summary>What <c>wait --for</c> understands, as conditions on a status document.</summary>
internal static class WaitConditions
{
    public static Func<StatusDocument, bool> Parse(string text, string set, string? volume)
    {
        if (text.StartsWith("owner=", StringComparison.Ordinal))
        {
            if (volume is null) throw CliFailure.Usage("--for owner=NODE wants SET/VOLUME.");
            var node = Arguments.Name(text["owner=".Length..], "node");
            return document => Of(document, set, volume) is { Volumes: [{ Owner: { MovingTo: null } owner }] } && owner.Node == node;
        }

        if (text is not ("synced" or "healthy")) throw CliFailure.Usage($"--for: '{text}' is none of synced, healthy, owner=NODE.");
        return text == "healthy"
            ? document => Of(document, set, volume) is { } found
                && (volume is null ? found.Health == "okay" : found.Volumes is [{ State: "okay" }])
            : document => Of(document, set, volume) is { } found && found.Volumes.All(IsSynced);
    }

    /// <summary>Nothing is owed and no leg waits for a copy. A leg that an error took out is not "not synced": no resync will
    /// bring it back, so nobody would wait for that.</summary>
    private static bool IsSynced(VolumeStatus volume) =>
        volume.Resync is null && volume.StaleRegions is 0 && volume.Submirrors.All(leg => leg.State is not ("resyncing" or "attached"));

    private static DisksetStatus? Of(StatusDocument document, string set, string? volume)
    {
        var found = document.Disksets.FirstOrDefault(item => item.Name == set);
        if (found is null || volume is null) return found;
        var only = found.Volumes.FirstOrDefault(item => item.Name == volume);
        return only is null ? null : found with { Volumes = [only] };
    }
}
