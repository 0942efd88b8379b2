using RaftMirror.DataPlane.Exports;

namespace RaftMirror.DataPlane.Nbd.Protocol;

/// <summary>Where the session stands that was opened for a handshake.</summary>
internal enum SessionStanding
{
    /// <summary>None is open.</summary>
    None,

    /// <summary>Open; its client may not be answered yet.</summary>
    Opened,

    /// <summary>Its client may have the export.</summary>
    Admitted,
}

/// <summary>What is so at one moment of a handshake that waits.</summary>
/// <param name="NowMs">Of any clock that does not step.</param>
/// <param name="IsCaughtUp">All that was configured anywhere when the option came is known here.</param>
/// <param name="Session">Of the export that is waited for.</param>
/// <param name="IsStopping">The server wants its connections gone.</param>
internal readonly record struct WaitFacts(long NowMs, bool IsCaughtUp, SessionStanding Session, bool IsStopping);

/// <summary>What to do with an option that names an export.</summary>
internal enum WaitVerdict
{
    Wait,

    /// <summary>Answer it.</summary>
    Ready,

    /// <summary>There is no such export anywhere: ERR_UNKNOWN.</summary>
    Unknown,

    /// <summary>Not served here: ERR_SHUTDOWN with the reason.</summary>
    Refused,
}

/// <summary>How long an option waits for its export (design §14.26). GO and EXPORT_NAME wait until their client can write, INFO until the
/// volume is served, metadata contexts until the name is known; and no longer than to the deadline. That a name is unknown is said only
/// by a node that knows everything. Pure: time and facts are inputs.</summary>
internal sealed class ExportWait(NbdOption option, string name, long deadlineMs)
{
    /// <summary>The option that waits.</summary>
    public NbdOption Option { get; } = option;

    /// <summary>The export it names; empty for LIST.</summary>
    public string Name { get; } = name;

    /// <summary>When it is refused at the latest.</summary>
    public long DeadlineMs { get; } = deadlineMs;

    /// <summary>The answer needs to know everything that is configured anywhere.</summary>
    public bool NeedsCatchUp { get; private set; }

    /// <summary>Why it waits or was refused.</summary>
    public string Reason { get; private set; } = "";

    /// <summary>The option needs a session, not just a look.</summary>
    public bool NeedsSession => Option is NbdOption.Go or NbdOption.ExportName;

    /// <summary>For all options but LIST.</summary>
    public WaitVerdict Decide(in ExportLookup look, in WaitFacts facts)
    {
        if (facts.IsStopping) return Refuse("this node stops");
        switch (look.Standing)
        {
            case ExportStanding.None when facts.IsCaughtUp:
                return WaitVerdict.Unknown;
            case ExportStanding.None:
                NeedsCatchUp = true;
                return WaitFor("this node cannot know whether it exists: no majority answers", facts);
            case ExportStanding.Undecided:
                return WaitFor(look.Reason, facts);
        }

        if (Option is NbdOption.ListMetaContext or NbdOption.SetMetaContext) return WaitVerdict.Ready;
        if (look.Standing == ExportStanding.NeverServed) return Refuse(look.Reason);
        if (look.Standing == ExportStanding.NotServed) return WaitFor(look.Reason, facts);
        if (!NeedsSession || facts.Session == SessionStanding.Admitted) return WaitVerdict.Ready;
        return WaitFor("writes that an earlier connection left under way have not ended", facts);
    }

    /// <summary>For LIST.</summary>
    public WaitVerdict Decide(ExportList list, in WaitFacts facts)
    {
        if (facts.IsStopping) return Refuse("this node stops");
        if (list.Names is not null) return WaitVerdict.Ready;
        return list.IsFinal ? Refuse(list.Reason) : WaitFor(list.Reason, facts);
    }

    private WaitVerdict WaitFor(string reason, in WaitFacts facts)
    {
        Reason = reason;
        return facts.NowMs < DeadlineMs ? WaitVerdict.Wait : WaitVerdict.Refused;
    }

    private WaitVerdict Refuse(string reason)
    {
        Reason = reason;
        return WaitVerdict.Refused;
    }
}
