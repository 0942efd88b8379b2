namespace RaftMirror.DataPlane.Metadata;

#if MUTANTS
/// <summary>Bugs in telling what a disk is, put back one at a time to prove that the simulator finds them. They exist only in builds of the
/// configuration "Mutants"; elsewhere each is a constant false, which the compiler removes.</summary>
internal static class DiskMutants
{
    [ThreadStatic]
    private static string? _active;

    /// <summary>The bug that this thread has; null for none.</summary>
    public static string? Active
    {
        get => _active;
        set => _active = value;
    }

    /// <summary>An older copy of a disk is believed.</summary>
    public static bool OlderBelieved => _active == nameof(OlderBelieved);

    /// <summary>Two histories that gave the same number are one.</summary>
    public static bool ForkBelieved => _active == nameof(ForkBelieved);

    /// <summary>A disk that was cut and has grown back is believed.</summary>
    public static bool HoleBelieved => _active == nameof(HoleBelieved);

    /// <summary>Signatures are looked for at the start only.</summary>
    public static bool TailUnseen => _active == nameof(TailUnseen);

    /// <summary>Signatures are not looked for where formats keep copies further on.</summary>
    public static bool CopiesUnseen => _active == nameof(CopiesUnseen);
}
#else
/// <summary>See the configuration "Mutants".</summary>
internal static class DiskMutants
{
    public const bool OlderBelieved = false;
    public const bool ForkBelieved = false;
    public const bool HoleBelieved = false;
    public const bool TailUnseen = false;
    public const bool CopiesUnseen = false;
}
#endif
