namespace RaftMirror.DataPlane.DiskIo.Core;

#if MUTANTS
/// <summary>Bugs in judging whom a failed call speaks against, put back one at a time to prove that the story of failures finds them. They exist
/// only in builds of the configuration "Mutants"; elsewhere each is a constant false, which the compiler removes.</summary>
internal static class JudgeMutants
{
    [ThreadStatic]
    private static string? _active;

    /// <summary>The bug that this thread has; null for none.</summary>
    public static string? Active
    {
        get => _active;
        set => _active = value;
    }

    /// <summary>That another node can use the disk is not heard: each error is the disk's.</summary>
    public static bool OwnErrorIsTheDisks => _active == nameof(OwnErrorIsTheDisks);

    /// <summary>A node that gives no answer speaks against the disk.</summary>
    public static bool SilenceIsAWord => _active == nameof(SilenceIsAWord);

    /// <summary>A node that gets no answer from the disk yet speaks against it.</summary>
    public static bool HangIsAWord => _active == nameof(HangIsAWord);

    /// <summary>Who gives no answer is waited for without a bound.</summary>
    public static bool WaitsForEver => _active == nameof(WaitsForEver);

    /// <summary>That others read the place clears it of a failed write, too.</summary>
    public static bool ReadingClearsWrites => _active == nameof(ReadingClearsWrites);
}
#else
/// <summary>See the configuration "Mutants".</summary>
internal static class JudgeMutants
{
    public const bool OwnErrorIsTheDisks = false;
    public const bool SilenceIsAWord = false;
    public const bool HangIsAWord = false;
    public const bool WaitsForEver = false;
    public const bool ReadingClearsWrites = false;
}
#endif
