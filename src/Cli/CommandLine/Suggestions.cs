namespace RaftMirror.Cli.CommandLine;

/// <summary>The nearest word to a mistyped one.</summary>
internal static class Suggestions
{
    /// <returns>Null if nothing is near.</returns>
    public static string? Nearest(string typed, IEnumerable<string> words)
    {
        var best = words.Select(word => (word, distance: Distance(typed, word)))
            .OrderBy(pair => pair.distance).ThenBy(pair => pair.word, StringComparer.Ordinal).FirstOrDefault();
        return best.word is not null && best.distance <= Math.Max(1, Math.Min(3, best.word.Length / 2)) ? best.word : null;
    }

    /// <summary>Edits from one word to the other (Levenshtein).</summary>
    private static int Distance(string a, string b)
    {
        var row = Enumerable.Range(0, b.Length + 1).ToArray();
        for (var i = 1; i <= a.Length; i++)
        {
            var diagonal = row[0];
            row[0] = i;
            for (var j = 1; j <= b.Length; j++)
            {
                var cost = a[i - 1] == b[j - 1] ? 0 : 1;
                (row[j], diagonal) = (Math.Min(Math.Min(row[j], row[j - 1]) + 1, diagonal + cost), row[j]);
            }
        }

        return row[b.Length];
    }
}
