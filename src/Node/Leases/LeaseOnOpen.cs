using RaftMirror.DataPlane.Exports;

namespace RaftMirror.Node.Leases;

/// <summary>Tells when a client connection was opened. It is admitted under a lease that was asked for after that moment, so one is asked
/// for at once. Any thread.</summary>
internal sealed class LeaseOnOpen(IExportCatalog exports, Action opened) : IExportCatalog
{
    /// <inheritdoc/>
    public Task Changed => exports.Changed;

    /// <inheritdoc/>
    public ExportList List() => exports.List();

    /// <inheritdoc/>
    public ExportLookup Look(string name)
    {
        var look = exports.Look(name);
        return look.Export is { } export ? look with { Export = new Watched(export, opened) } : look;
    }

    /// <inheritdoc/>
    public Task CatchUpAsync(CancellationToken cancellationToken) => exports.CatchUpAsync(cancellationToken);

    // A record: two looks at one export are the same export to whoever compares them.
    private sealed record Watched(IExport Export, Action Opened) : IExport
    {
        public ExportInfo Info => Export.Info;

        public IExportSession Open(string client) => Note(Export.Open(client));

        public IExportSession Open(string client, IIntake intake) => Note(Export.Open(client, intake));

        private IExportSession Note(IExportSession session)
        {
            Opened(); // After the opening has its time: the lease must begin later.
            return session;
        }
    }
}
