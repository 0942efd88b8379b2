namespace RaftMirror.DataPlane.Mirroring.Core;

/// <summary>Can this node do a volume's I/O? If not, what it lacks first.</summary>
internal enum ServiceState
{
    /// <summary>It was not looked at yet, or no configuration came.</summary>
    NoConfiguration,

    Serving,

    /// <summary>Deleted, fenced, or shut down: it will not serve any more in this life.</summary>
    Ended,

    /// <summary>This incarnation has not joined the set.</summary>
    NotJoined,

    NoLease,

    /// <summary>No dirty log is open.</summary>
    NoLog,

    /// <summary>A dead or suspected node's log is not merged.</summary>
    MergeOwed,

    /// <summary>The node that runs the resync has not told which ranges it copies.</summary>
    WindowsUnknown,

    /// <summary>No leg can be read.</summary>
    NoLeg,

    /// <summary>A disk that a leg in use needs is lost, or cannot be used on this node.</summary>
    NoDisk,
}

// Service and who may be told of it (design §14.26): a client that hears that it has the export sends writes at once, so it hears it only
// when they would not wait for anything that may never come.
internal sealed partial class MirrorCore
{
    private int _unadmitted; // Sessions that are not admitted.

    /// <summary>As of the last input that was no request; a lease that has run out since is seen by its time.</summary>
    public ServiceState Service { get; private set; }

    private void StepService()
    {
        Service = LookAtService();
        if (_unadmitted == 0 || (Service != ServiceState.Serving && !Has(MirrorFaults.AdmitUnserved))) return;
        foreach (var session in _sessions)
        {
            if (session.IsAdmitted || (!MayAdmit(session) && !Has(MirrorFaults.AdmitUnserved))) continue;
            session.IsAdmitted = true;
            _unadmitted--;
            Emit(new MirrorEffect(EffectKind.SessionAdmitted, session.Number));
        }
    }

    /// <summary>The drain barrier lets its writes pass, and every live node knows that there are connections here (design §14.25).</summary>
    private bool MayAdmit(ClientSession session) => IsSessionDrained(session.Number) && _order.IsAnnounced(_lease.SentNs);

    private ServiceState LookAtService()
    {
        if (_lease.IsFenced || _isDeleted || _isGone || _isShutDown) return ServiceState.Ended;
        if (_view is null) return ServiceState.NoConfiguration;
        if (!IsJoined) return ServiceState.NotJoined;
        if (!HasLease) return ServiceState.NoLease;
        if (Volume.WaitsFor is not null) return ServiceState.NoDisk;
        if (IsLogged && !_hasLog) return ServiceState.NoLog;
        if (IsLogged && IsMergePending) return ServiceState.MergeOwed;
        if (!AreWindowsKnown()) return ServiceState.WindowsUnknown;
        return HasReadableLeg ? ServiceState.Serving : ServiceState.NoLeg;
    }
}
