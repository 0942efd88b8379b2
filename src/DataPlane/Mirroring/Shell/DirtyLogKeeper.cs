using RaftMirror.DataPlane.Configuration;
using RaftMirror.DataPlane.DirtyRegions;
using RaftMirror.DataPlane.DirtyRegions.Core;
using RaftMirror.DataPlane.DiskIo;

namespace RaftMirror.DataPlane.Mirroring.Shell;

/// <summary>This node's dirty log of one set: opens the slot that the configuration names, hands updates to it, leaves disks that are lost,
/// and reports its end once the node's writes have ended. The set's loop calls <see cref="Apply"/> and never waits: whatever touches
/// a disk runs beside it, one opening after the other.</summary>
internal sealed class DirtyLogKeeper(
    ulong incarnation,
    ulong spentGeneration,
    DataPlanePorts ports,
    Func<string, DiskPort?> find,
    Func<IEnumerable<MirrorVolume>> volumes)
{
    private static readonly TimeSpan FullRetry = TimeSpan.FromSeconds(5);

    private readonly Lock _gate = new();
    private SlotConfiguration? _slot;
    private OpenLog? _log;
    private Task _work = Task.CompletedTask;
    private List<PortDevice> _devices = [];
    private bool _isEnding;
    private volatile bool _isLost;

    /// <summary>Generation of the newest slot that was, or was to be, opened here; 0 for none.</summary>
    public ulong Generation => _slot?.Generation ?? spentGeneration;

    /// <summary>No logged write begins until another log is open.</summary>
    public bool IsLost => _isLost;

    /// <summary>A log is open and has not failed.</summary>
    public bool IsOpen => Volatile.Read(ref _log) is { IsReported: 0 };

    /// <summary>Takes over what a configuration says of the slot. The set's loop.</summary>
    public void Apply(SetConfiguration configuration)
    {
        var slot = configuration.OwnSlot;
        if (slot is null || slot.Incarnation != incarnation) return;
        lock (_gate)
        {
            var isKnown = slot.Generation == _slot?.Generation;
            if (_isEnding && !isKnown) return; // For the next data plane of this incarnation, or for none.
            _slot = slot;
            if (isKnown)
            {
                LeaveOthers(slot.Disks);
                return;
            }

            if (slot.Generation > spentGeneration)
            {
                var old = _log;
                Volatile.Write(ref _log, null);
                if (old is not null) PostAll(MirrorVolume.InputKind.LogLost);
                _work = ReplaceAsync(_work, old, configuration, slot);
                return;
            }
        }

        Lose(slot, new DirtyLogFailure("The node left the set and stayed after all; its log is opened anew.", null));
    }

    /// <summary>A disk is lost: the log goes on without it, or ends if it has no other.</summary>
    public void Leave(string disk)
    {
        lock (_gate)
        {
            foreach (var device in _devices)
            {
                if (device.Name == disk) device.GiveUp();
            }
        }
    }

    /// <summary>Gives the open log up, as if it had failed, so that the control plane commits another one. Nothing happens if it is not the
    /// open one any more, or was given up before.</summary>
    public void GiveUp(ulong generation, string why)
    {
        if (Volatile.Read(ref _log) is not { } open || open.Slot.Generation != generation) return;
        if (Interlocked.Exchange(ref open.IsReported, 1) == 0) Lose(open.Slot, new DirtyLogFailure(why, null, IsChosen: true));
    }

    /// <summary>Appends updates.</summary>
    /// <returns>False if they are not durable: the log has failed for good.</returns>
    public async ValueTask<bool> AppendAsync(RegionUpdate[] updates)
    {
        var open = Volatile.Read(ref _log);
        if (open is null) return false;
        if (await open.Log.AppendAsync(updates)) return true;
        if (Volatile.Read(ref _log) != open) return false; // Replaced meanwhile: its end says nothing about the new one.
        if (Interlocked.Exchange(ref open.IsReported, 1) == 0)
            Lose(open.Slot, open.Log.Failure ?? new DirtyLogFailure("the dirty log failed", null));
        return false;
    }

    /// <summary>Closes the log, after the last append.</summary>
    public async Task EndAsync()
    {
        Task work;
        lock (_gate)
        {
            _isEnding = true;
            work = _work;
        }

        await work;
        if (Interlocked.Exchange(ref _log, null) is { } open) await open.Log.DisposeAsync();
    }

    // Under the gate.
    private void LeaveOthers(IReadOnlyList<string> kept)
    {
        foreach (var device in _devices)
        {
            if (!kept.Contains(device.Name)) device.GiveUp();
        }
    }

    // One after the other: two logs in one slot would write over each other.
    private async Task ReplaceAsync(Task previous, OpenLog? old, SetConfiguration configuration, SlotConfiguration slot)
    {
        try
        {
            await Task.Yield();
            await previous;
            if (old is not null) await old.Log.DisposeAsync();
            await OpenAsync(configuration, slot);
        }
#pragma warning disable CA1031 // Whatever it was, this node would never write logged volumes again: it must stop.
        catch (Exception exception)
#pragma warning restore CA1031
        {
            ports.Fatal(exception);
        }
    }

    private async Task OpenAsync(SetConfiguration configuration, SlotConfiguration slot)
    {
        var devices = new List<PortDevice>();
        foreach (var name in slot.Disks)
        {
            if (find(name) is not { } port || await port.Opened is not { } device)
            {
                // That this node does not see it says nothing against the disk: the next log lies on others.
                Lose(slot, new DirtyLogFailure($"Disk '{name}' of the dirty log cannot be opened here.", null));
                return;
            }

            devices.Add(new PortDevice(port, device, Timeout.InfiniteTimeSpan) // Given up when the log leaves the disk.
            {
                Slow = () => ports.Disks?.LogDiskSlow(slot, name),
            });
        }

        lock (_gate)
        {
            if (_isEnding || _slot?.Generation != slot.Generation) return;
            _devices = devices;
            LeaveOthers(_slot.Disks); // A disk may have been lost since.
        }

        IDirtyRegionLog log;
        try
        {
            log = await ports.Resources.OpenLogAsync(configuration, slot, devices);
        }
        catch (IOException exception)
        {
            // Without the disk the control plane would choose the same disks again, at once and for ever.
            Lose(slot, exception is DirtyLogOpenException { Failure: { } failure } ? failure : new DirtyLogFailure(exception.Message, null));
            return;
        }

        if (TryPublish(log, slot)) ports.Reports.DirtyLogOpened(slot);
        else await log.DisposeAsync();
    }

    private bool TryPublish(IDirtyRegionLog log, SlotConfiguration slot)
    {
        lock (_gate)
        {
            if (_isEnding || _slot?.Generation != slot.Generation) return false;
            _isLost = false;
            Volatile.Write(ref _log, new OpenLog(log, slot));
            PostAll(MirrorVolume.InputKind.LogOpened); // Before anything that a later configuration says of the log.
            return true;
        }
    }

    /// <summary>Stops writes and copies of the logged volumes, and reports once those under way have ended: the report makes the control
    /// plane give this node's ownerships away at once, so nothing of this node may reach a leg after it.</summary>
    private void Lose(SlotConfiguration slot, DirtyLogFailure failure)
    {
        _isLost = true; // Before the look at the volumes: one that comes later sees it.
        var quiet = new List<Task>();
        foreach (var volume in volumes()) quiet.Add(volume.LoseLog());
        _ = ReportLossAsync(quiet, slot, failure);
    }

    private async Task ReportLossAsync(List<Task> quiet, SlotConfiguration slot, DirtyLogFailure failure)
    {
        await Task.WhenAll(quiet);
        if (failure.IsFull) await Task.Delay(FullRetry); // The report brings another log at once, and space does not come as fast.
        ports.Reports.DirtyLogFailed(slot, failure);
    }

    private void PostAll(MirrorVolume.InputKind kind)
    {
        foreach (var volume in volumes()) volume.Post(new(kind));
    }

    private sealed class OpenLog(IDirtyRegionLog log, SlotConfiguration slot)
    {
        public int IsReported;

        public IDirtyRegionLog Log { get; } = log;

        public SlotConfiguration Slot { get; } = slot;
    }
}
