using System.Collections.Concurrent;
using System.Collections.Immutable;
using Microsoft.Extensions.Logging;
using RaftMirror.ControlPlane.Model;
using RaftMirror.DataPlane.Configuration;
using RaftMirror.DataPlane.Devices;
using RaftMirror.DataPlane.Metadata;

namespace RaftMirror.Cli.Daemon.Disks;

/// <summary>The disks of this node's sets. Each is opened once, judged by its label against the committed state, and only then used: the
/// data plane, the stamper and whoever asks for a proof share one handle, so that none of them can meet another disk
/// under the same path. Any thread.</summary>
/// <param name="self">This node.</param>
/// <param name="feed">Applied states.</param>
/// <param name="readBarrier">Ends once everything committed before the call is applied here.</param>
/// <param name="proof">Proves with serving nodes that a disk is the one that they use.</param>
/// <param name="finder">Finds disks whose paths have changed.</param>
/// <param name="logger">Log.</param>
internal sealed partial class NodeDisks(
    NodeIdentity self, StateFeed feed, Func<CancellationToken, ValueTask> readBarrier, ProofOfSameness proof, DiskFinder finder, ILogger logger)
{
    private static readonly TimeSpan FirstVerdict = TimeSpan.FromSeconds(3);
    private readonly ConcurrentDictionary<(string Set, Guid Disk), NodeDisk> _disks = new();
    private readonly ConcurrentDictionary<(string Set, Guid Disk), Task> _underWay = new();
    private readonly ConcurrentDictionary<(string Set, Guid Disk), long> _grown = new();
    private readonly LogOnce _found = new();

    /// <summary>Gets what stands beside the stamp of each disk that is opened, before anybody judges it. Any thread.</summary>
    public Action<Consensus.DiskWord>? Heard { get; set; }

    /// <summary>The disk's device, if it is in use here; null else.</summary>
    public FileBlockDevice? Find(string set, Guid disk) => _disks.GetValueOrDefault((set, disk))?.Current?.Device;

    /// <summary>What this node thinks of a disk, if it has looked at it.</summary>
    public DiskVerdict? VerdictOn(string set, Guid disk) => _disks.GetValueOrDefault((set, disk))?.Verdict;

    /// <summary>Gives the data plane a disk in use. One that was not looked at yet is waited for, for a short while; one that was refused is
    /// looked at again beside.</summary>
    /// <exception cref="IOException">It may not be used; the message says why.</exception>
    public IBlockDevice Take(SetConfiguration set, DiskConfiguration disk)
    {
        ArgumentNullException.ThrowIfNull(set);
        ArgumentNullException.ThrowIfNull(disk);
        if (!set.Members.Any(member => member.Node == set.Self && member.IsJoined && member.Incarnation == self.Incarnation))
            throw new IOException($"This node has not joined '{set.Name}'.");
        if (Find(set.Name, disk.Id) is { } open) return open.Lend();
        var isFirst = VerdictOn(set.Name, disk.Id) is null;
        var look = _underWay.GetOrAdd((set.Name, disk.Id), key => Task.Run(() => AdmitAgainAsync(key.Set, key.Disk)));
        if (isFirst) look.Wait(FirstVerdict);
        if (Find(set.Name, disk.Id) is { } opened) return opened.Lend();
        throw new IOException(VerdictOn(set.Name, disk.Id)?.Message ?? $"Disk '{disk.Name}' ({disk.Path}) has not answered yet.");
    }

    /// <summary>Opens and judges every disk of a set that the state calls okay. Those in use stay as they are if this node serves the
    /// set; else all begin anew.</summary>
    /// <returns>A verdict for each, by name.</returns>
    /// <exception cref="IOException">The committed state cannot be read now.</exception>
    public async Task<IReadOnlyDictionary<string, DiskVerdict>> AdmitAsync(string setName, CancellationToken cancellationToken)
    {
        var state = await CommittedAsync(cancellationToken);
        if (state.Set(setName) is not { } set) return ImmutableDictionary<string, DiskVerdict>.Empty;
        var serves = set.Members.GetValueOrDefault(self.Name)?.JoinedIncarnation == self.Incarnation;
        var wanted = set.Disks.Values.Where(disk => ControlPlane.Model.Stamps.IsInUse(set, disk)).ToList();
        var verdicts = await Task.WhenAll(wanted.Select(disk => AdmitOneAsync(state, set, disk, serves, cancellationToken)));
        return wanted.Zip(verdicts).ToDictionary(pair => pair.First.Name, pair => pair.Second, StringComparer.Ordinal);
    }

    /// <summary>Looks at every disk of a set that is not in use here, the lost ones too: one that is okay and usable is taken into use if this
    /// node serves the set, a lost one is judged only.</summary>
    /// <returns>A verdict for each disk that is okay or lost, by name.</returns>
    /// <exception cref="IOException">The committed state cannot be read now.</exception>
    public async Task<IReadOnlyDictionary<string, DiskVerdict>> LookAsync(string setName, CancellationToken cancellationToken)
    {
        var state = await CommittedAsync(cancellationToken);
        if (state.Set(setName) is not { } set) return ImmutableDictionary<string, DiskVerdict>.Empty;
        var serves = set.Members.GetValueOrDefault(self.Name)?.JoinedIncarnation == self.Incarnation;
        var wanted = set.Disks.Values.Where(disk => disk.Status == DiskStatus.Lost || (serves && ControlPlane.Model.Stamps.IsInUse(set, disk))).ToList();
        var verdicts = await Task.WhenAll(wanted.Select(disk => disk.Status == DiskStatus.Lost
            ? JudgeAsync(state, set, disk, cancellationToken)
            : AdmitOneAsync(state, set, disk, serves, cancellationToken)));
        return wanted.Zip(verdicts).ToDictionary(pair => pair.First.Name, pair => pair.Second, StringComparer.Ordinal);
    }

    /// <summary>A verdict on a disk, without taking it into use.</summary>
    public async Task<DiskVerdict> JudgeAsync(ClusterState state, SetState set, DiskState disk, CancellationToken cancellationToken)
    {
        var own = _disks.GetOrAdd((set.Name, disk.Id), _ => new NodeDisk(disk.Name));
        try
        {
            var expected = StateWords.Expected(state, set, disk, self.Name);
            var (device, reading) = await own.RunAsync(
                () => Open(expected, disk.IsDirectIo), cancellationToken, static late => late.Device.Dispose());
            using (device)
            {
                var after = await CommittedAsync(cancellationToken);
                return DiskIdentity.Judge(
                    expected, device.CurrentSizeBytes, reading, StateWords.Stamps(set, after.Set(set.Name) ?? set, disk.Name));
            }
        }
        catch (IOException failure)
        {
            return new DiskVerdict(DiskFinding.Missing, $"disk '{disk.Name}' ({disk.PathOn(self.Name)}) cannot be used: {failure.Message}");
        }
    }

    /// <summary>Reads a disk's label only for what it has to say, which goes to <see cref="Heard"/>.</summary>
    /// <returns>False if it is missing or does not answer in time.</returns>
    public async Task<bool> HasAnsweredAsync(ClusterState state, SetState set, DiskState disk, CancellationToken cancellationToken)
    {
        var own = _disks.GetOrAdd((set.Name, disk.Id), _ => new NodeDisk(disk.Name));
        try
        {
            var expected = StateWords.Expected(state, set, disk, self.Name);
            var (device, _) = await own.RunAsync(() => Open(expected, disk.IsDirectIo), cancellationToken, static late => late.Device.Dispose());
            device.Dispose();
            return true;
        }
        catch (IOException)
        {
            return false;
        }
    }

    /// <summary>Puts the stamp that the state asks for on the disks in use. Each has its own bounded time.</summary>
    /// <param name="state">The state that asks for it.</param>
    /// <param name="set">The set in it.</param>
    /// <param name="logPosition">How far this node's log has come.</param>
    /// <param name="mayWrite">Asked before each write.</param>
    /// <param name="cancellationToken">Ends the waiting.</param>
    /// <returns>What came of each disk; those with a usable verdict carry the stamp durably.</returns>
    public async Task<IReadOnlyList<(string Disk, DiskVerdict Verdict)>> StampAsync(
        ClusterState state, SetState set, ReadOnlyMemory<byte> logPosition, Func<bool> mayWrite, CancellationToken cancellationToken)
    {
        var names = ControlPlane.Model.Stamps.DisksToStamp(set);
        var verdicts = await Task.WhenAll(names.Select(
            name => StampOneAsync(state, set, set.Disks[name], logPosition, mayWrite, cancellationToken)));
        return [.. names.Zip(verdicts)];
    }

    /// <summary>Opens a disk apart from those in use, to read what a dead node left on it; also where this node does not serve.</summary>
    /// <exception cref="IOException">It is not there, or not what the state knows.</exception>
    public async Task<IBlockDevice> OpenForReadingAsync(
        ClusterState before, SetState set, DiskState disk, Func<Task<ClusterState>> after)
    {
        var expected = StateWords.Expected(before, set, disk, self.Name);
        var own = _disks.GetOrAdd((set.Name, disk.Id), _ => new NodeDisk(disk.Name));
        var (device, reading) = await own.RunAsync(
            () => Open(expected, disk.IsDirectIo), CancellationToken.None, static late => late.Device.Dispose());
        var verdict = DiskIdentity.Judge(
            expected, device.CurrentSizeBytes, reading, StateWords.Stamps(set, (await after()).Set(set.Name) ?? set, disk.Name));
        if (verdict.IsUsable) return device;
        device.Dispose();
        throw new IOException(verdict.Message);
    }

    /// <summary>This node's part in another one's proof: it looks at the disk that it uses itself.</summary>
    public async ValueTask<ProofReply> AnswerAsync(string from, ProofRequest request, CancellationToken cancellationToken)
    {
        if (feed.Current.Set(request.Set) is not { } set
            || set.Disks.Values.FirstOrDefault(known => known.Id == request.Disk) is not { } disk
            || set.Members.GetValueOrDefault(from) is not { } asker
            || set.Members.GetValueOrDefault(self.Name)?.JoinedIncarnation != self.Incarnation
            || _disks.GetValueOrDefault((set.Name, disk.Id)) is not { } own)
        {
            return new ProofReply(ProofStanding.NotOpen, default);
        }

        if (own.Current is { } open) return await proof.AnswerAsync(set, disk, asker.SlotNumber, request, open.Device, own, cancellationToken);
        return new ProofReply(own.Verdict is null ? ProofStanding.Opening : ProofStanding.NotOpen, default);
    }

    /// <summary>Closes the disks of a set that this node serves no more.</summary>
    /// <param name="set">Which; null for all.</param>
    public void Close(string? set)
    {
        foreach (var key in _disks.Keys.Where(key => set is null || key.Set == set))
        {
            if (_disks.TryRemove(key, out var disk)) disk.Close();
        }
    }

    private async Task AdmitAgainAsync(string setName, Guid disk)
    {
        try
        {
            var state = await CommittedAsync(CancellationToken.None);
            if (state.Set(setName) is not { } set || set.Disks.Values.FirstOrDefault(known => known.Id == disk) is not { } known) return;
            await AdmitOneAsync(state, set, known, serves: true, CancellationToken.None);
        }
        catch (IOException unknown)
        {
            LogUnknown(logger, setName, unknown.Message);
        }
        finally
        {
            _underWay.TryRemove((setName, disk), out _);
        }
    }

    private async Task<DiskVerdict> AdmitOneAsync(
        ClusterState state, SetState set, DiskState disk, bool serves, CancellationToken cancellationToken)
    {
        var own = _disks.GetOrAdd((set.Name, disk.Id), _ => new NodeDisk(disk.Name));
        // One at a time: of two the later would close the device that the data plane has taken from the earlier.
        await own.Admission.WaitAsync(cancellationToken);
        try
        {
            return await AdmitInTurnAsync(own, state, set, disk, serves, cancellationToken);
        }
        finally
        {
            own.Admission.Release();
        }
    }

    private bool Serves(string set) =>
        feed.Current.Set(set)?.Members.GetValueOrDefault(self.Name) is { } member && member.JoinedIncarnation == self.Incarnation;

    private async Task<DiskVerdict> AdmitInTurnAsync(
        NodeDisk own, ClusterState state, SetState set, DiskState disk, bool serves, CancellationToken cancellationToken)
    {
        if ((serves || Serves(set.Name)) && own is { Current: not null, Verdict: { } standing }) return standing;
        FileBlockDevice? device = null;
        DiskVerdict verdict;
        try
        {
            var expected = StateWords.Expected(state, set, disk, self.Name);
            (device, var reading) = await own.RunAsync(
                () => Open(expected, disk.IsDirectIo), cancellationToken, static late => late.Device.Dispose());
            var after = await CommittedAsync(cancellationToken);
            if (after.Set(set.Name) is not { } now) throw new IOException($"the set '{set.Name}' is gone");
            verdict = DiskIdentity.Judge(expected, device.CurrentSizeBytes, reading, StateWords.Stamps(set, now, disk.Name));
            if (verdict.IsUsable)
                verdict = await proof.ProveAsync(after, now, now.Disks.GetValueOrDefault(disk.Name) ?? disk, verdict, device, own, cancellationToken);
            if (verdict.IsUsable && own is { Current: not null, Verdict: { } inUse } && Serves(set.Name))
            {
                device.Dispose(); // The node has joined meanwhile, so that the former one may be in use.
                return inUse;
            }

            if (verdict.IsUsable)
            {
                own.Admit(new NodeDisk.Admitted(device, now.Activation), verdict);
                return verdict;
            }
        }
        catch (IOException failure)
        {
            verdict = new DiskVerdict(DiskFinding.Missing, $"disk '{disk.Name}' ({disk.PathOn(self.Name)}) cannot be used: {failure.Message}");
        }

        device?.Dispose();
        if (own.Verdict?.Message != verdict.Message) LogRefused(logger, set.Name, verdict.Message);
        own.Refuse(verdict);
        return verdict;
    }

    private async Task<DiskVerdict> StampOneAsync(
        ClusterState state, SetState set, DiskState disk, ReadOnlyMemory<byte> logPosition, Func<bool> mayWrite, CancellationToken cancellationToken)
    {
        if (_disks.GetValueOrDefault((set.Name, disk.Id)) is not { Current.Device: { } device } own)
        {
            // Not in use here, which says nothing against it: this node told the others, and they decide together.
            return new DiskVerdict(DiskFinding.Silent, VerdictOn(set.Name, disk.Id)?.Message ?? $"disk '{disk.Name}' is not open here yet");
        }

        try
        {
            var label = StateWords.Label(state, set, disk, logPosition);
            var expected = StateWords.Expected(state, set, disk, self.Name);
            var verdict = await own.RunAsync(() => Stamp(device, expected, StateWords.Stamps(set, set, disk.Name), label, mayWrite), cancellationToken);
            if (device.CurrentSizeBytes is var size && size / device.SectorBytes * device.SectorBytes > expected.SizeBytes && _grown.TryAdd((set.Name, disk.Id), size))
                LogGrown(logger, set.Name, disk.Name, size, expected.SizeBytes);
            if (!verdict.IsUsable) LogNotStamped(logger, set.Name, verdict.Message);
            return verdict;
        }
        catch (IOException failure)
        {
            LogNotStamped(logger, set.Name, failure.Message);
            return new DiskVerdict(DiskFinding.Silent, failure.Message);
        }
    }

    /// <summary>The state, with all that was committed before the call.</summary>
    /// <exception cref="IOException">It cannot be read now.</exception>
    public async Task<ClusterState> CommittedAsync(CancellationToken cancellationToken)
    {
        try
        {
            await readBarrier(cancellationToken);
            return feed.Current;
        }
        catch (Consensus.NoLeaderException lost)
        {
            throw new IOException($"the committed state cannot be read now: {lost.Message}", lost);
        }
    }

    /// <summary>Sizes change under a running set too: a logical unit that was shrunk says so here.</summary>
    private static DiskVerdict Stamp(
        FileBlockDevice device, ExpectedDisk expected, StampExpectation stamps, DiskLabel label, Func<bool> mayWrite) =>
        device.IsShrunk || device.CurrentSizeBytes < expected.SizeBytes
            ? DiskIdentity.Judge(
                expected, Math.Min(device.CurrentSizeBytes, expected.SizeBytes - 1), new LabelReading(DeviceStatus.Ok, label, IsEndBlank: true), stamps)
            : LabelStamper.Stamp(device, expected, stamps, label, mayWrite);

    /// <summary>Opens what is under the disk's path, or, if that is not the disk, what carries its label elsewhere.</summary>
    private (FileBlockDevice Device, LabelReading Reading) Open(ExpectedDisk expected, bool isDirect)
    {
        var place = finder.Find(new DiskIds(expected.Cluster, expected.Set, expected.Disk), expected.Path, expected.OtherPaths);
        if (place.Doubt is { } doubt) throw new IOException(doubt);
        if (place.IsElsewhere) _found.Log(expected.Name, place.Path, () => LogFound(logger, expected.Name, place.Path, expected.Path));
        var device = FileBlockDevice.Open(expected.Name, place.Path, isDirect, limitBytes: expected.SizeBytes);
        try
        {
            var reading = DiskIdentity.Read(device, expected.SizeBytes);
            // Only the disk itself: another one at its place may be of a cluster that had the same name and addresses.
            if (reading.Label is { LogPosition.IsEmpty: false } label && (label.Cluster, label.Set, label.Disk) == (expected.Cluster, expected.Set, expected.Disk))
                Heard?.Invoke(new Consensus.DiskWord($"'{expected.Name}' ({place.Path})", label.LogPosition));
            return (device, reading);
        }
        catch
        {
            device.Dispose();
            throw;
        }
    }

    [LoggerMessage(3513, LogLevel.Warning, "Disk {Disk} was found by its label at {Path}, not at {Configured}; to look there first: raftmirror disk set SET {Disk} --path NODE=PATH")]
    private static partial void LogFound(ILogger logger, string disk, string path, string configured);

    [LoggerMessage(3510, LogLevel.Error, "Set {Set}: {Verdict}")]
    private static partial void LogRefused(ILogger logger, string set, string verdict);

    [LoggerMessage(3511, LogLevel.Warning, "Set {Set}: a disk was not stamped: {Reason}")]
    private static partial void LogNotStamped(ILogger logger, string set, string reason);

    [LoggerMessage(3514, LogLevel.Warning, "Set {Set}: disk {Disk} has grown to {SizeBytes} bytes; it is used up to {KnownBytes}, which it was added with")]
    private static partial void LogGrown(ILogger logger, string set, string disk, long sizeBytes, long knownBytes);

    [LoggerMessage(3512, LogLevel.Information, "Set {Set}: a disk cannot be judged now: {Reason}")]
    private static partial void LogUnknown(ILogger logger, string set, string reason);
}
