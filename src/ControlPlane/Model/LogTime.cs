namespace RaftMirror.ControlPlane.Model;

/// <summary>Bounds of log time (design §14.23).</summary>
public static class LogTime
{
    /// <summary>So far from the voters' clocks, log time is corrected at once by a command that says so. Less is made good by running a little
    /// slower or faster, so that nobody's request is refused for it.</summary>
    public const long CorrectFromMs = 10_000;
}
