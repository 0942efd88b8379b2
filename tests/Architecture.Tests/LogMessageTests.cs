using System.Text.RegularExpressions;
using Xunit;

namespace RaftMirror.Architecture.Tests;

public sealed partial class LogMessageTests
{
    [Fact] // A log message is looked up, and alarmed on, by its id.
    public void LogMessages_InAllSources_HaveIdsOfTheirOwn()
    {
        var ids = SourceTree.Files("src").SelectMany(static file => Id().Matches(SourceTree.Read(file)).Select(static match => match.Groups[1].Value)).ToList();
        Assert.NotEmpty(ids);
        Assert.Empty(ids.GroupBy(static id => id).Where(static same => same.Count() > 1).Select(static same => same.Key));
    }

    [GeneratedRegex(@"\[LoggerMessage\((\d+),")]
    private static partial Regex Id();
}
