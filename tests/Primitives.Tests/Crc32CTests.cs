using System.Text;
using Xunit;

namespace RaftMirror.Primitives.Tests;

/// <summary>The checksum of labels, logs and messages.</summary>
public sealed class Crc32CTests
{
    [Fact] // RFC 3720, appendix B.4; the last is the check value of the CRC catalogues.
    public void Compute_VectorsOfTheRfc_Match()
    {
        var rising = Enumerable.Range(0, 32).Select(static i => (byte)i).ToArray();
        Assert.Equal(0x8A9136AAu, Crc32C.Compute(new byte[32]));
        Assert.Equal(0x62A8AB43u, Crc32C.Compute(Enumerable.Repeat((byte)0xFF, 32).ToArray()));
        Assert.Equal(0x46DD794Eu, Crc32C.Compute(rising));
        Assert.Equal(0x113FDB5Cu, Crc32C.Compute(rising.Reverse().ToArray()));
        Assert.Equal(0xE3069283u, Crc32C.Compute(Encoding.ASCII.GetBytes("123456789")));
        Assert.Equal(0u, Crc32C.Compute([]));
    }

    [Fact] // However data is cut, the sum is that of the whole.
    public void Append_InTwoParts_IsTheSumOfTheWhole()
    {
        var data = Enumerable.Range(0, 100).Select(static i => (byte)(i * 7)).ToArray();
        for (var cut = 0; cut <= data.Length; cut++)
            Assert.Equal(Crc32C.Compute(data), Crc32C.Append(Crc32C.Compute(data.AsSpan(0, cut)), data.AsSpan(cut)));
    }
}
