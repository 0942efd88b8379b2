namespace RaftMirror.Simulation;

internal static class Program
{
    private static int Main() => 2;
}
