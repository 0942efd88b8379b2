namespace RaftMirror.Primitives;

/// <summary>Of this build.</summary>
public static class BuildInfo
{
    /// <summary>MAJOR.MINOR.PATCH.</summary>
    public static string Version { get; } =
        typeof(BuildInfo).Assembly.GetName().Version is { } version ? version.ToString(3) : "0.0.0";
}
