using RaftMirror.Primitives;

namespace RaftMirror.DataPlane.Leases.Core;

/// <summary>What the leader gave a node.</summary>
/// <param name="SentNs">When this node sent its renewal request (CLOCK_BOOTTIME, ns): the lease starts here, not at the reply.</param>
/// <param name="LengthNs">How long it lasts from there, ns, positive.</param>
/// <param name="MinIndex">The data plane must have enacted the log up to here before the grant counts.</param>
/// <param name="Epoch">Membership epoch.</param>
/// <param name="Incarnation">The incarnation it was given to.</param>
public readonly record struct LeaseGrant(long SentNs, long LengthNs, ulong MinIndex, ulong Epoch, ulong Incarnation)
{
    /// <summary>First instant at which the lease is over.</summary>
    public long ExpiresNs => SentNs + LengthNs;
}

/// <summary>May this node serve? Only while a grant for its own incarnation runs and everything that was committed when the
/// grant was given has been enacted here: so a committed change is enacted by every serving node within one lease, or that
/// node does not serve. Pure: time and progress are inputs. One owning thread.</summary>
/// <remarks>Checked before every submit and after every completion; a completion after expiry is never reported as success.</remarks>
internal sealed class NodeLease(ulong incarnation)
{
    private LeaseGrant _active;
    private LeaseGrant _pending;
    private ulong _enacted;
    private bool _isFenced;

    /// <summary>The incarnation that may use grants.</summary>
    public ulong Incarnation { get; } = incarnation;

    /// <summary>First instant without a lease, ns of CLOCK_BOOTTIME; 0 if there is none.</summary>
    public long ExpiresNs => _isFenced ? 0 : _active.ExpiresNs;

    /// <summary>When the running grant was asked for, ns of CLOCK_BOOTTIME: all that had been committed by then is enacted here. 0 if there
    /// was none.</summary>
    public long SentNs => _active.SentNs;

    /// <summary>True if the node may serve at <paramref name="nowNs"/>.</summary>
    public bool IsActive(long nowNs) => !_isFenced && nowNs < _active.ExpiresNs;

    /// <summary>True after <see cref="Fence"/>: no grant counts any more.</summary>
    public bool IsFenced => _isFenced;

    /// <summary>The log is enacted up to <paramref name="index"/>; a grant that waited for it may become active.</summary>
    public void Enacted(ulong index)
    {
        if (index <= _enacted) return;
        _enacted = index;
        Promote();
    }

    /// <summary>Takes a grant; one of another incarnation or of an older membership epoch is ignored.</summary>
    public void Grant(LeaseGrant grant)
    {
        Invariant.Require(grant.LengthNs > 0, "The leader grants a positive time.");
        if (grant.Incarnation != Incarnation || grant.Epoch < _active.Epoch) return;
        // Of two grants that wait, the one that can become active first is worth more only if it also ends later;
        // the newer replaces the older, since its index will be enacted within one lease or the node must stop anyway.
        if (grant.ExpiresNs > _pending.ExpiresNs || grant.Epoch > _pending.Epoch) _pending = grant;
        if (grant.MinIndex <= _enacted) Activate(grant);
        Promote();
    }

    /// <summary>This incarnation is fenced: the lease is over for good.</summary>
    public void Fence() => _isFenced = true;

    /// <summary>Ends the lease now, as when the node leaves the set; later grants count again.</summary>
    public void Revoke()
    {
        _active = default;
        _pending = default;
    }

    private void Promote()
    {
        if (_pending.LengthNs == 0 || _pending.MinIndex > _enacted) return;
        Activate(_pending);
        _pending = default;
    }

    private void Activate(LeaseGrant grant)
    {
        if (grant.Epoch > _active.Epoch || grant.ExpiresNs > _active.ExpiresNs) _active = grant;
    }
}
