using System.Runtime.CompilerServices;
using Xunit;

namespace RaftMirror.Architecture.Tests;

/// <summary>One word, one meaning (docs/glossary.md).</summary>
public sealed class VocabularyTests
{
    [Fact] // Whoever reads a name does not have to look which of two is meant.
    public void TypeName_InTheProduct_IsDeclaredOnce()
    {
        var types = LayerTests.Projects.SelectMany(static project => project.GetTypes())
            .Where(static type => !type.IsNested && type.Namespace?.StartsWith("RaftMirror", StringComparison.Ordinal) == true
                && !type.IsDefined(typeof(CompilerGeneratedAttribute), inherit: false))
            .ToList();
        Assert.True(types.Count > 500);
        Assert.Empty(types.GroupBy(static type => type.Name, StringComparer.Ordinal).Where(static same => same.Count() > 1)
            .Select(static same => string.Join(" and ", same.Select(static type => type.FullName))));
    }
}
