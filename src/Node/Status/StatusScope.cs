using RaftMirror.Contracts;

namespace RaftMirror.Node.Status;

/// <summary>Cuts a status document down to what was asked for.</summary>
internal static class StatusScope
{
    /// <returns>The document, or null and what is missing.</returns>
    public static (StatusDocument? Document, string? Missing) Narrow(StatusDocument document, string set, string? volume)
    {
        var found = document.Disksets.FirstOrDefault(candidate => candidate.Name == set);
        if (found is null)
            return (null, $"There is no disk set '{set}'.{Known("Disk sets", document.Disksets.Select(candidate => candidate.Name))}");
        if (volume is null) return (document with { Disksets = [found] }, null);
        var only = found.Volumes.FirstOrDefault(candidate => candidate.Name == volume);
        return only is null
            ? (null, $"There is no volume '{set}/{volume}'.{Known("Volumes", found.Volumes.Select(candidate => $"{set}/{candidate.Name}"))}")
            : (document with { Disksets = [found with { Volumes = [only] }] }, null);
    }

    private static string Known(string what, IEnumerable<string> names)
    {
        var list = names.Take(10).ToList();
        return list.Count == 0 ? $" {what}: none." : $" {what}: {string.Join(", ", list)}.";
    }
}
