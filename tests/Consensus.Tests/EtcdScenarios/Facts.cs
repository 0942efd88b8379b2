using System.Text.RegularExpressions;

namespace RaftMirror.Consensus.Tests.EtcdScenarios;

/// <summary>Compares facts with etcd's. A difference is allowed if it is listed with a reason in differences.md, exactly as it is;
/// one that is listed and does not occur is an error, too.</summary>
internal sealed partial class Facts
{
    private readonly List<Difference> _listed;
    private readonly HashSet<Difference> _met = [];
    private readonly List<string> _faults = [];

    /// <param name="file">Path below etcd-raft; only differences of this file are allowed.</param>
    public Facts(string file)
    {
        File = file;
        _listed = [.. Differences().Where(difference => difference.File == file)];
    }

    public string File { get; }

    /// <summary>How many facts were compared.</summary>
    public int Compared { get; private set; }

    /// <summary>How many of them differ as listed.</summary>
    public int Differing => _met.Count;

    /// <summary>Compares one fact.</summary>
    /// <param name="line">The case's line.</param>
    /// <param name="fact">What is compared.</param>
    /// <param name="theirs">What etcd says.</param>
    /// <param name="ours">What is so here.</param>
    /// <returns>True if they are the same.</returns>
    public bool Compare(int line, string fact, string theirs, string ours)
    {
        Compared++;
        if (theirs == ours) return true;
        var difference = _listed.FirstOrDefault(listed => listed.Line == line && listed.Fact == fact && listed.Ours == ours);
        if (difference is not null) _met.Add(difference);
        else _faults.Add($"| {File} | {line} | {fact} | {ours} | (etcd: {theirs}) |");
        return false;
    }

    /// <summary>Fails if a difference is not listed, or a listed one has gone.</summary>
    public static void Verify(IReadOnlyList<Facts> all)
    {
        var faults = all.SelectMany(facts => facts._faults.Concat(facts._listed.Except(facts._met).Select(gone => $"no longer so: {gone}"))).ToList();
        Assert.True(faults.Count == 0, $"{all.Sum(facts => facts.Compared)} facts; differences that are not as listed:\n{string.Join('\n', faults)}");
    }

    /// <summary>All rows of differences.md: | file | line | fact | ours | why |.</summary>
    public static IReadOnlyList<Difference> Differences()
    {
        using var stream = typeof(Facts).Assembly.GetManifestResourceStream("differences.md")!;
        using var reader = new StreamReader(stream);
        var differences = new List<Difference>();
        foreach (var line in reader.ReadToEnd().Split('\n').Where(line => line.StartsWith("| ", StringComparison.Ordinal)))
        {
            if (line.StartsWith("| file |", StringComparison.Ordinal) || line.StartsWith("| ---", StringComparison.Ordinal)) continue;
            var match = Row().Match(line);
            if (!match.Success) throw new FormatException($"Not a row of five cells with a reason: {line}");
            string Cell(int i) => match.Groups[i].Value.Trim();
            differences.Add(new Difference(Cell(1), int.Parse(Cell(2)), Cell(3), Cell(4), Cell(5)));
        }

        return differences;
    }

    [GeneratedRegex(@"^\|([^|]+)\|([^|]+)\|([^|]+)\|([^|]*)\|([^|]*[^| ][^|]*)\|\s*$")]
    private static partial Regex Row();

    internal sealed record Difference(string File, int Line, string Fact, string Ours, string Why);
}
