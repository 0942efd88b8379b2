namespace RaftMirror.DataPlane.Exports;

/// <summary>What LIST says of an export.</summary>
/// <param name="Name">SET/VOLUME, UTF-8, at most 4096 bytes.</param>
/// <param name="Description">For people.</param>
public sealed record ExportListing(string Name, string Description);

/// <summary>The exports that are configured on this node, served at this moment or not.</summary>
/// <param name="Names">By name; null if they are not known.</param>
/// <param name="Reason">Why not, for people.</param>
/// <param name="IsFinal">Waiting changes nothing about that.</param>
public sealed record ExportList(IReadOnlyList<ExportListing>? Names, string Reason = "", bool IsFinal = false);

/// <summary>What a node can say of an export's name at one moment.</summary>
public enum ExportStanding
{
    /// <summary>No volume of that name is configured, as far as this node's state goes.</summary>
    None,

    /// <summary>This node does not know its configuration.</summary>
    Undecided,

    /// <summary>Configured, and not served here at this moment.</summary>
    NotServed,

    /// <summary>Configured, and this node will not serve it, however long somebody waits.</summary>
    NeverServed,

    /// <summary>Served: this node holds a lease, has joined the set, and the volume can take I/O.</summary>
    Served,
}

/// <summary>Answer to <see cref="IExportCatalog.Look"/>.</summary>
/// <param name="Standing">What is known.</param>
/// <param name="Reason">Why it is not served, for people.</param>
/// <param name="Export">The volume. A client may be attached to it before it is served, and is admitted once it is.</param>
public readonly record struct ExportLookup(ExportStanding Standing, string Reason = "", IExport? Export = null);

/// <summary>Finds exports by name. Any thread; all but <see cref="CatchUpAsync"/> return at once.</summary>
public interface IExportCatalog
{
    /// <summary>Completes at the next change of what <see cref="List"/> or <see cref="Look"/> say. To be taken before the look.</summary>
    Task Changed { get; }

    /// <summary>All configured exports.</summary>
    ExportList List();

    /// <summary>What is known of a name.</summary>
    ExportLookup Look(string name);

    /// <summary>Ends once everything that was configured anywhere before the call is known here.</summary>
    Task CatchUpAsync(CancellationToken cancellationToken);
}
