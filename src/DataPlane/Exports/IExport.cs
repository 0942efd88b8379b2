namespace RaftMirror.DataPlane.Exports;

/// <summary>A volume that clients can attach. Any thread.</summary>
public interface IExport
{
    /// <summary>What clients are told.</summary>
    ExportInfo Info { get; }

    /// <summary>Begins a client connection: before GO or EXPORT_NAME is answered, which waits for <see cref="IExportSession.Admitted"/>.</summary>
    /// <param name="client">Remote address, for messages.</param>
    IExportSession Open(string client);

    /// <summary>As <see cref="Open(string)"/>, for a session that wants to know when requests came.</summary>
    /// <param name="client">Remote address, for messages.</param>
    /// <param name="intake">What is known of that.</param>
    IExportSession Open(string client, IIntake intake) => Open(client);
}
