using System.Text.RegularExpressions;
using Xunit;

namespace RaftMirror.Architecture.Tests;

/// <summary>What comments and documents cite is in the tree: rules of docs/design.md, ADRs, documents and sections of them.</summary>
public sealed partial class DocumentReferenceTests
{
    private static readonly HashSet<string> Rules = RulesOf(SourceTree.Read("docs/design.md"));

    [Fact]
    public void Design_HasTheRulesThatItSaysItHas()
    {
        Assert.Contains("14.26", Rules);
        Assert.Contains("raft 14", Rules);
        Assert.DoesNotContain("14.27", Rules);
    }

    [Fact]
    public void Citations_InSourcesAndDocuments_Resolve()
    {
        var files = ((string[])["src", "tests", "benchmarks", "docs"])
            .SelectMany(static folder => SourceTree.Files(folder, ".cs").Concat(SourceTree.Files(folder, ".md"))).ToList();
        var missing = files.SelectMany(static path => Unresolved(path, SourceTree.Read(path)).Select(citation => $"{path}: {citation}")).ToList();
        Assert.True(files.Count > 500);
        Assert.Empty(missing);
    }

    [Theory] // The check can fail.
    [InlineData("design \u00a714.27")]
    [InlineData("raft r" + "ule 99")]
    [InlineData("ru" + "le 7")]
    [InlineData("docs/" + "no-such.md")]
    [InlineData("ADR " + "9999")]
    public void Citation_OfNothing_IsFound(string text) => Assert.Single(Unresolved("src/Some.cs", text));

    [Fact] // A table of tests that has one which was renamed proves nothing.
    public void TestClasses_ThatDocumentsName_Exist()
    {
        var classes = SourceTree.Files("tests", ".cs")
            .SelectMany(static path => TestClass().Matches(SourceTree.Read(path)).Select(static match => match.Groups[1].Value)).ToHashSet();
        var named = SourceTree.Files("docs", ".md")
            .SelectMany(static path => NamedTests().Matches(SourceTree.Read(path)).Select(match => (path, match.Value))).ToList();
        Assert.True(named.Count > 100);
        Assert.DoesNotContain(named, one => !classes.Contains(one.Value));
    }

    private static IEnumerable<string> Unresolved(string path, string text)
    {
        foreach (Match match in Section().Matches(text))
        {
            if (!Rules.Contains(match.Groups[1].Value)) yield return match.Value;
        }

        foreach (Match match in RaftRule().Matches(text))
        {
            if (!Rules.Contains($"raft {match.Groups[1].Value}")) yield return match.Value;
        }

        // A number alone does not say whose rule it is. An ADR numbers its own.
        if (!path.StartsWith("docs/adr/", StringComparison.Ordinal))
        {
            foreach (Match match in AnyRule().Matches(text)) yield return match.Value;
        }

        foreach (Match match in Document().Matches(text))
        {
            if (!File.Exists(Path.Combine(SourceTree.Root, match.Value))) yield return match.Value;
        }

        foreach (Match match in Adr().Matches(text))
        {
            if (Directory.GetFiles(Path.Combine(SourceTree.Root, "docs", "adr"), $"{match.Groups[1].Value}-*.md").Length != 1) yield return match.Value;
        }
    }

    /// <summary>"14.20" for item 20 of section 14, "14" for the section, "raft 9" for item 9 of the core's section.</summary>
    private static HashSet<string> RulesOf(string design)
    {
        var rules = new HashSet<string>(StringComparer.Ordinal);
        var section = "";
        foreach (var line in design.Split('\n'))
        {
            if (Heading().Match(line) is { Success: true } heading)
            {
                section = heading.Groups[1].Value;
                rules.Add(section);
            }
            else if (Item().Match(line) is { Success: true } item)
            {
                rules.Add($"{section}.{item.Groups[1].Value}");
                if (section == "15") rules.Add($"raft {item.Groups[1].Value}");
            }
        }

        return rules;
    }

    // The paper's, the thesis' and other documents' sections are theirs, and named beside the number.
    [GeneratedRegex(@"(?<!paper |thesis |proto\.md |RFC \d{1,5} )§(\d+(?:\.\d+)?)")]
    private static partial Regex Section();

    [GeneratedRegex(@"[Rr]aft rule (\d+)")]
    private static partial Regex RaftRule();

    [GeneratedRegex(@"(?<![Rr]aft )\b[Rr]ule \d+\b(?! of )")]
    private static partial Regex AnyRule();

    [GeneratedRegex(@"docs/[a-z0-9/-]+\.md")]
    private static partial Regex Document();

    [GeneratedRegex(@"ADR (\d{4})")]
    private static partial Regex Adr();

    [GeneratedRegex(@"^## (\d+)\.")]
    private static partial Regex Heading();

    [GeneratedRegex(@"^(\d+)\. ")]
    private static partial Regex Item();

    [GeneratedRegex(@"\bclass ([A-Z]\w*Tests)\b")]
    private static partial Regex TestClass();

    [GeneratedRegex(@"\b[A-Z]\w+Tests\b")]
    private static partial Regex NamedTests();
}
