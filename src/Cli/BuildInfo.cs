namespace RaftMirror.Cli;

internal static class BuildInfo
{
    public static string Version { get; } =
        typeof(BuildInfo).Assembly.GetName().Version is { } version ? version.ToString(3) : "0.0.0";
}
