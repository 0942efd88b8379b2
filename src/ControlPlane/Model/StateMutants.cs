namespace RaftMirror.ControlPlane.Model;

#if MUTANTS
/// <summary>Bugs of the replicated state, put back one at a time to prove that the simulator finds them. They exist only in builds of the
/// configuration "Mutants"; elsewhere each is a constant false, which the compiler removes.</summary>
internal static class StateMutants
{
    [ThreadStatic]
    private static string? _active;

    /// <summary>The bug that this thread has; null for none.</summary>
    public static string? Active
    {
        get => _active;
        set => _active = value;
    }

    /// <summary>What becomes owed while a submirror is offline is not kept for it.</summary>
    public static bool MarksNotKept => _active == nameof(MarksNotKept);

    /// <summary>A node enters a set without hearing all that serve it.</summary>
    public static bool EntersUnheard => _active == nameof(EntersUnheard);

    /// <summary>A node enters a set once it hears all that serve it, whether or not they hear it.</summary>
    public static bool EntersHalfHeard => _active == nameof(EntersHalfHeard);

    /// <summary>Of two nodes that enter a set at once and have never heard each other nobody is told.</summary>
    public static bool SilenceOfEntrantsUntold => _active == nameof(SilenceOfEntrantsUntold);

    /// <summary>A node is fenced, and disks that hang in its kernel stay in use.</summary>
    public static bool HangingDisksStay => _active == nameof(HangingDisksStay);

    /// <summary>A resync whose owner cannot use a disk stays with it.</summary>
    public static bool StuckResyncsStay => _active == nameof(StuckResyncsStay);

    /// <summary>A returned submirror waits for the marks of a log that is merged already.</summary>
    public static bool LegReturnsWaitForMergedLogs => _active == nameof(LegReturnsWaitForMergedLogs);

    /// <summary>The boot of an incarnation that has a successor is not known any more.</summary>
    public static bool FormerBootsAreForgotten => _active == nameof(FormerBootsAreForgotten);
}
#else
/// <summary>See the configuration "Mutants".</summary>
internal static class StateMutants
{
    public const bool MarksNotKept = false;
    public const bool EntersUnheard = false;
    public const bool EntersHalfHeard = false;
    public const bool SilenceOfEntrantsUntold = false;
    public const bool HangingDisksStay = false;
    public const bool StuckResyncsStay = false;
    public const bool LegReturnsWaitForMergedLogs = false;
    public const bool FormerBootsAreForgotten = false;
}
#endif
