namespace RaftMirror.Architecture.Tests.Samples.Left;

/// <summary>Half of a cycle, in the body of a method.</summary>
internal static class LeftPart
{
    public static int Depth(int left) => left == 0 ? 0 : Right.RightPart.Depth(left - 1);
}
