using Xunit;

namespace RaftMirror.Primitives.Tests;

/// <summary>What people read of an error number, and what runs out and comes back.</summary>
public sealed class ErrnoTextTests
{
    [Fact]
    public void Of_KnownNumber_HasSentenceNameAndNumber()
    {
        Assert.Equal("No space left on device (ENOSPC, errno 28)", ErrnoText.Of(28));
        Assert.EndsWith("(errno 71)", ErrnoText.Of(71), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(28, true, true)] // ENOSPC
    [InlineData(122, true, true)] // EDQUOT
    [InlineData(24, false, true)] // EMFILE
    [InlineData(23, false, true)] // ENFILE
    [InlineData(12, false, true)] // ENOMEM
    [InlineData(5, false, false)] // EIO
    [InlineData(30, false, false)] // EROFS
    public void IsExhaustion_SpaceDescriptorsAndMemory_AndNothingElse(int errno, bool isSpace, bool isExhaustion)
    {
        Assert.Equal(isSpace, ErrnoText.IsOutOfSpace(errno));
        Assert.Equal(isExhaustion, ErrnoText.IsExhaustion(errno));
    }
}
