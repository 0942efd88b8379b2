namespace RaftMirror.Architecture.Tests.Samples.Right;

/// <summary>The other half.</summary>
internal static class RightPart
{
    public static int Depth(int left) => left == 0 ? 0 : Left.LeftPart.Depth(left - 1);
}
