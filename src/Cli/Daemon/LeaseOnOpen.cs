using RaftMirror.DataPlane.Nbd;

namespace RaftMirror.Cli.Daemon;

/// <summary>Tells when a client connection was opened. Its first write waits for a lease that was asked for after that moment, so one is asked
/// for at once. Any thread.</summary>
internal sealed class LeaseOnOpen(IExportCatalog exports, Action opened) : IExportCatalog
{
    /// <inheritdoc/>
    public IReadOnlyList<ExportInfo> List() => exports.List();

    /// <inheritdoc/>
    public IExport? Find(string name) => exports.Find(name) is { } export ? new Watched(export, opened) : null;

    private sealed class Watched(IExport export, Action opened) : IExport
    {
        public ExportInfo Info => export.Info;

        public IExportSession Open(string client)
        {
            var session = export.Open(client);
            opened(); // After the opening has its time: the lease must begin later.
            return session;
        }
    }
}
