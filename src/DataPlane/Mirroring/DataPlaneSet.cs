using RaftMirror.DataPlane.Configuration;
using RaftMirror.DataPlane.Leases.Core;
using RaftMirror.DataPlane.Nbd;

namespace RaftMirror.DataPlane.Mirroring;

/// <summary>What a set's data plane is wired to.</summary>
/// <param name="Resources">Opens disks and the dirty log.</param>
/// <param name="Reports">Hears what the control plane must know.</param>
/// <param name="Peers">Sends to the other nodes' data planes of this set.</param>
/// <param name="Clock">Clock of leases.</param>
/// <param name="Fatal">Called once with a broken invariant: the node must stop (data may not be what the code believes).</param>
public sealed record DataPlanePorts(
    ISetResources Resources, IVolumeReports Reports, IPeerMessages Peers, ILeaseClock Clock, Action<Exception> Fatal);

/// <summary>The data plane of one disk set on one node and incarnation: its volumes as exports.</summary>
public sealed class DataPlaneSet : IExportCatalog, IAsyncDisposable
{
    /// <summary>Starts with nothing; serves once configurations and a lease came.</summary>
    /// <param name="self">This node's name.</param>
    /// <param name="incarnation">This node's incarnation; for another one, make another object.</param>
    /// <param name="ports">What it is wired to.</param>
    /// <param name="options">Times and bounds.</param>
    public DataPlaneSet(string self, ulong incarnation, DataPlanePorts ports, MirrorOptions? options = null) =>
        throw new NotSupportedException();

    /// <summary>Takes over a committed configuration; each one that concerns the set, in log order, none left out. Returns at
    /// once; leases whose grants ask for it count only when every volume has it. One thread at a time.</summary>
    public void Enact(SetConfiguration configuration) => throw new NotSupportedException();

    /// <summary>Nothing up to <paramref name="index"/> that is not enacted concerns this set. Same thread as
    /// <see cref="Enact"/>.</summary>
    public void EnactedUpTo(ulong index) => throw new NotSupportedException();

    /// <summary>A lease came from the leader. Any thread.</summary>
    public void LeaseGranted(LeaseGrant grant) => throw new NotSupportedException();

    /// <summary>A message of another node's data plane of this set. Any thread; never throws for bad bytes.</summary>
    /// <param name="fromNode">The sender, as the transport proved it.</param>
    /// <param name="payload">Kept only during the call.</param>
    public void Receive(string fromNode, ReadOnlyMemory<byte> payload) => throw new NotSupportedException();

    /// <inheritdoc/>
    public IReadOnlyList<ExportInfo> List() => throw new NotSupportedException();

    /// <inheritdoc/>
    public IExport? Find(string name) => throw new NotSupportedException();

    /// <summary>Figures of every volume, by number.</summary>
    public IReadOnlyList<VolumeStatistics> Statistics() => throw new NotSupportedException();

    /// <summary>Clean stop: takes no more requests, drops clients, waits for the end of physical I/O, flushes, clears
    /// marks while the lease lasts, closes log and disks.</summary>
    public ValueTask DisposeAsync() => throw new NotSupportedException();
}
