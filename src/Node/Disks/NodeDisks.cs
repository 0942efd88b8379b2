using System.Collections.Concurrent;
using System.Collections.Immutable;
using Microsoft.Extensions.Logging;
using RaftMirror.ControlPlane.Model;
using RaftMirror.DataPlane.Configuration;
using RaftMirror.DataPlane.Devices;
using RaftMirror.DataPlane.DiskIo;
using RaftMirror.DataPlane.Metadata;
using RaftMirror.Node.Peers;
using RaftMirror.Node.State;
using RaftMirror.Primitives;

namespace RaftMirror.Node.Disks;

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
    private readonly ConcurrentDictionary<(string Set, Guid Disk), DiskFacts> _facts = new();
    private readonly LogOnce _found = new();
    private readonly LogOnce _notStamped = new();

    /// <summary>Gets what stands beside the stamp of each disk that is opened, before anybody judges it. Any thread.</summary>
    public Action<Consensus.Node.DiskWord>? Heard { get; set; }

    /// <summary>The disk's device, if it is in use here; null else.</summary>
    public FileBlockDevice? Find(string set, Guid disk) =>
        feed.Current.Set(set)?.Disks.Values.FirstOrDefault(known => known.Id == disk) is { } known && _disks.TryGetValue((set, disk), out var own)
            ? InUse(own, known) : null;

    /// <summary>A lost disk is not in use, and one that came back is opened anew: another device may be under its path by now.</summary>
    private static FileBlockDevice? InUse(NodeDisk own, DiskState disk) =>
        own.IsInUse ? Admitted(own, disk) : null;

    /// <summary>What this node uses, or will use once it serves the set and the others were asked again.</summary>
    private static FileBlockDevice? Admitted(NodeDisk own, DiskState disk) =>
        own.Current is { } open && disk.Status != DiskStatus.Lost && open.AtIndex >= disk.ReturnedAtIndex ? open.Device : null;

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
        var isFirst = VerdictOn(set.Name, disk.Id) is null or { IsUsable: true }; // Looked at before this node joined.
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
    /// node serves the set, a lost one is judged only. The one on duty also asks the others whether they see the same lost disk.</summary>
    /// <returns>A verdict for each disk that is okay or lost, by name.</returns>
    /// <exception cref="IOException">The committed state cannot be read now.</exception>
    public async Task<IReadOnlyDictionary<string, DiskVerdict>> LookAsync(string setName, CancellationToken cancellationToken)
    {
        var state = await CommittedAsync(cancellationToken);
        if (state.Set(setName) is not { } set) return ImmutableDictionary<string, DiskVerdict>.Empty;
        var serves = set.Members.GetValueOrDefault(self.Name)?.JoinedIncarnation == self.Incarnation;
        var wanted = set.Disks.Values.Where(disk => disk.Status == DiskStatus.Lost || (serves && ControlPlane.Model.Stamps.IsInUse(set, disk))).ToList();
        var isOnDuty = serves && Duties.SetDuty(state, set)?.Name == self.Name;
        var verdicts = await Task.WhenAll(wanted.Select(disk => disk.Status == DiskStatus.Lost
            ? LookAtLostAsync(state, set, disk, isOnDuty, cancellationToken)
            : AdmitOneAsync(state, set, disk, serves, cancellationToken)));
        return wanted.Zip(verdicts).ToDictionary(pair => pair.First.Name, pair => pair.Second, StringComparer.Ordinal);
    }

    private async Task<DiskVerdict> LookAtLostAsync(
        ClusterState state, SetState set, DiskState disk, bool isOnDuty, CancellationToken cancellationToken)
    {
        // What has a call of this node in the kernel stays open; nothing new goes to it.
        if (!disk.Users.Any(user => user.Node == self.Name) && _disks.TryGetValue((set.Name, disk.Id), out var own)) own.Close();
        return (await JudgeAsync(state, set, disk, isOnDuty, cancellationToken)).Verdict;
    }

    /// <summary>A verdict on a lost disk, without taking it into use.</summary>
    /// <param name="state">The committed state.</param>
    /// <param name="set">The set in it.</param>
    /// <param name="disk">The lost disk.</param>
    /// <param name="mustProve">Ask the nodes that serve the set, too, whether they see the same one.</param>
    /// <param name="cancellationToken">Gives up.</param>
    /// <returns>The verdict, and whether every node that serves the set sees this very disk.</returns>
    public async Task<(DiskVerdict Verdict, bool IsProven)> JudgeAsync(
        ClusterState state, SetState set, DiskState disk, bool mustProve, CancellationToken cancellationToken)
    {
        var own = _disks.GetOrAdd((set.Name, disk.Id), _ => new NodeDisk(disk.Name, self.Name, disk.Id));
        try
        {
            var (device, verdict) = await OpenLostAsync(own, state, set, disk, cancellationToken);
            using (device)
            {
                if (!mustProve || !disk.Users.IsEmpty || !(verdict.IsUsable || verdict.MayBeRefilled)) return (verdict, false);
                return await proof.ProveLostAsync(state, set, disk, verdict, device, own, cancellationToken);
            }
        }
        catch (IOException failure)
        {
            var finding = failure is DiskSilentException ? DiskFinding.Silent : DiskFinding.Missing;
            return (new DiskVerdict(finding, $"disk '{disk.Name}' ({disk.PathOn(self.Name)}) cannot be used: {failure.Message}"), false);
        }
    }

    private async Task<(FileBlockDevice Device, DiskVerdict Verdict)> OpenLostAsync(
        NodeDisk own, ClusterState state, SetState set, DiskState disk, CancellationToken cancellationToken)
    {
        var expected = StateWords.Expected(state, set, disk, self.Name);
        var (device, reading) = await own.RunAsync(
            () => Open(expected, disk.IsDirectIo), cancellationToken, static late => late.Device.Dispose(), isReading: true);
        try
        {
            var after = await CommittedAsync(cancellationToken);
            return (device, DiskIdentity.Judge(
                expected, device.CurrentSizeBytes, reading, StateWords.Stamps(set, after.Set(set.Name) ?? set, disk.Name)));
        }
        catch
        {
            device.Dispose();
            throw;
        }
    }

    /// <summary>Reads a disk's label only for what it has to say, which goes to <see cref="Heard"/>.</summary>
    /// <returns>False if it is missing or does not answer in time.</returns>
    public async Task<bool> HasAnsweredAsync(ClusterState state, SetState set, DiskState disk, CancellationToken cancellationToken)
    {
        var own = _disks.GetOrAdd((set.Name, disk.Id), _ => new NodeDisk(disk.Name, self.Name, disk.Id));
        try
        {
            var expected = StateWords.Expected(state, set, disk, self.Name);
            var (device, _) = await own.RunAsync(() => Open(expected, disk.IsDirectIo), cancellationToken, static late => late.Device.Dispose(), isReading: true);
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
    /// <param name="limit">How long each disk is waited for.</param>
    /// <param name="cancellationToken">Ends the waiting.</param>
    /// <returns>What came of each disk; those with a usable verdict carry the stamp durably.</returns>
    public async Task<IReadOnlyList<(string Disk, DiskVerdict Verdict)>> StampAsync(
        ClusterState state, SetState set, ReadOnlyMemory<byte> logPosition, Func<bool> mayWrite, TimeSpan limit, CancellationToken cancellationToken)
    {
        var names = ControlPlane.Model.Stamps.DisksToStamp(set);
        var verdicts = await Task.WhenAll(names.Select(
            name => StampOneAsync(state, set, set.Disks[name], logPosition, mayWrite, limit, cancellationToken)));
        return [.. names.Zip(verdicts)];
    }

    /// <summary>Opens a disk apart from those in use, to read what a dead node left on it; also where this node does not serve.</summary>
    /// <exception cref="IOException">It is not there, or not what the state knows.</exception>
    public async Task<IBlockDevice> OpenForReadingAsync(
        ClusterState before, SetState set, DiskState disk, Func<Task<ClusterState>> after)
    {
        var expected = StateWords.Expected(before, set, disk, self.Name);
        var own = _disks.GetOrAdd((set.Name, disk.Id), _ => new NodeDisk(disk.Name, self.Name, disk.Id));
        var (device, reading) = await own.RunAsync(
            () => Open(expected, disk.IsDirectIo), CancellationToken.None, static late => late.Device.Dispose(), isReading: true);
        var verdict = DiskIdentity.Judge(
            expected, device.CurrentSizeBytes, reading, StateWords.Stamps(set, (await after()).Set(set.Name) ?? set, disk.Name));
        if (verdict.IsUsable) return device;
        device.Dispose();
        throw new IOException(verdict.Message);
    }

    /// <summary>This node's part in another one's proof: it looks at the disk that it uses itself.</summary>
    public async ValueTask<ProofReply> AnswerAsync(string from, ProofRequest request, CancellationToken cancellationToken)
    {
        // What it shows follows from what it has open, not from whether it knows yet that it has joined: it may lag.
        if (_disks.GetValueOrDefault((request.Set, request.Disk)) is not { } own) return new ProofReply(ProofStanding.NotOpen);
        if (feed.Current.Set(request.Set) is not { } set
            || set.Disks.Values.FirstOrDefault(known => known.Id == request.Disk) is not { } disk
            || set.Members.GetValueOrDefault(from) is not { } asker
            || !set.Members.ContainsKey(self.Name))
        {
            return new ProofReply(own.Current is null && own.Claimed is null ? ProofStanding.NotOpen : ProofStanding.Failed);
        }

        var isInUse = InUse(own, disk) is not null;
        if ((own.Claimed ?? Admitted(own, disk)) is { } shown)
            return await proof.AnswerAsync(set, disk, asker.SlotNumber, request, shown, own, cancellationToken) with { IsInUse = isInUse };
        return disk.Status == DiskStatus.Lost && Serves(set.Name)
            ? await AnswerLostAsync(set, disk, asker.SlotNumber, request, own, cancellationToken)
            : new ProofReply(ProofStanding.NotOpen);
    }

    /// <summary>Somebody wants to take a lost disk back: what is under this node's path, opened for this one look.</summary>
    private async Task<ProofReply> AnswerLostAsync(
        SetState set, DiskState disk, int askerSlot, ProofRequest request, NodeDisk own, CancellationToken cancellationToken)
    {
        if (disk.Users.Any(user => user.Node == self.Name)) return new ProofReply(ProofStanding.NotOpen);
        try
        {
            var (device, verdict) = await OpenLostAsync(own, feed.Current, set, disk, cancellationToken);
            using (device)
            {
                return verdict.IsUsable || verdict.MayBeRefilled
                    ? await proof.AnswerAsync(set, disk, askerSlot, request, device, own, cancellationToken)
                    : new ProofReply(ProofStanding.NotOpen);
            }
        }
        catch (IOException)
        {
            return new ProofReply(ProofStanding.Failed);
        }
    }

    /// <summary>Whether this node can use a lost disk, which its data plane has closed: it is opened for this one trial.</summary>
    /// <param name="setName">Set.</param>
    /// <param name="diskName">Disk; false if it is not lost.</param>
    /// <param name="place">Bytes of the disk to be read as well; empty for none.</param>
    /// <param name="mayWrite">Asked when the write would begin: a node that says that nothing of it is under way begins nothing more.</param>
    /// <param name="cancellationToken">Gives up.</param>
    public async Task<bool> CanUseLostAsync(
        string setName, string diskName, ByteRange place, Func<bool> mayWrite, CancellationToken cancellationToken)
    {
        try
        {
            var state = await CommittedAsync(cancellationToken);
            if (state.Set(setName) is not { } set || set.Disks.GetValueOrDefault(diskName) is not { Status: DiskStatus.Lost } disk) return false;
            if (!set.Members.TryGetValue(self.Name, out var member) || member.JoinedIncarnation != self.Incarnation) return false;
            if (disk.Users.Any(user => user.Node == self.Name)) return false; // A call of this node may still land.
            var own = _disks.GetOrAdd((set.Name, disk.Id), _ => new NodeDisk(disk.Name, self.Name, disk.Id));
            var (device, verdict) = await OpenLostAsync(own, state, set, disk, cancellationToken);
            using (device)
            {
                // Another disk under its path is not written to; the look at the disks tells of it.
                if (!verdict.IsUsable && !verdict.MayBeRefilled) return false;
                var slot = StateWords.Layout(set, disk).SlotOffset(member.SlotNumber);
                var limit = TimeSpan.FromMilliseconds(Math.Max(set.DeviceTimeoutMs, NodeDisk.Limit.TotalMilliseconds));
                var status = await own.RunAsync(
                    () => mayWrite() ? DiskTrial.Run(device, AlignedBufferPool.Shared, slot, default) : DeviceStatus.Fenced, cancellationToken, limit: limit);
                // Each piece has its own time: a slow disk works, and other looks at it come between.
                foreach (var piece in DiskTrial.Pieces(place))
                {
                    if (status != DeviceStatus.Ok) return false;
                    status = await own.RunAsync(
                        () => DiskTrial.ReadPlace(device, AlignedBufferPool.Shared, piece), cancellationToken, limit: limit, isReading: true);
                }

                return status == DeviceStatus.Ok;
            }
        }
        catch (IOException)
        {
            return false;
        }
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
            if (state.Set(setName) is not { } set || set.Disks.Values.FirstOrDefault(known => known.Id == disk) is not { } known
                || !ControlPlane.Model.Stamps.IsInUse(set, known)) return;
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
        var own = _disks.GetOrAdd((set.Name, disk.Id), _ => new NodeDisk(disk.Name, self.Name, disk.Id));
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
        if ((serves || Serves(set.Name)) && InUse(own, disk) is not null && own.Verdict is { } standing) return standing;
        own.Close(); // From before it was lost, or before this node joined: nothing of this node uses it.
        FileBlockDevice? device = null;
        DiskVerdict verdict;
        try
        {
            var expected = StateWords.Expected(state, set, disk, self.Name);
            (device, var reading) = await own.RunAsync(
                () => Open(expected, disk.IsDirectIo), cancellationToken, static late => late.Device.Dispose(), isReading: true);
            own.Claim(device);
            var after = await CommittedAsync(cancellationToken);
            if (after.Set(set.Name) is not { } now || !now.Members.ContainsKey(self.Name)) throw new IOException($"the set '{set.Name}' is gone");
            verdict = DiskIdentity.Judge(expected, device.CurrentSizeBytes, reading, StateWords.Stamps(set, now, disk.Name));
            if (verdict.IsUsable)
            {
                (verdict, var look) = await proof.ProveAsync(
                    now, now.Disks.GetValueOrDefault(disk.Name) ?? disk, verdict, device, own, cancellationToken);
                if (verdict.IsUsable)
                {
                    own.Admit(new NodeDisk.Admitted(device, after.Index), look, verdict);
                    return verdict;
                }
            }
        }
        catch (IOException failure)
        {
            verdict = new DiskVerdict(DiskFinding.Missing, $"disk '{disk.Name}' ({disk.PathOn(self.Name)}) cannot be used: {failure.Message}");
        }
        catch
        {
            own.Refuse(own.Verdict);
            device?.Dispose();
            throw;
        }

        if (own.Verdict?.Message != verdict.Message) LogRefused(logger, set.Name, verdict.Message);
        own.Refuse(verdict);
        device?.Dispose();
        return verdict;
    }

    private async Task<DiskVerdict> StampOneAsync(
        ClusterState state, SetState set, DiskState disk, ReadOnlyMemory<byte> logPosition, Func<bool> mayWrite, TimeSpan limit,
        CancellationToken cancellationToken)
    {
        // An activation stamps before anybody serves the set; later a disk that is not proven yet may be a copy, and a stamp would make it look right.
        if (_disks.GetValueOrDefault((set.Name, disk.Id)) is not { } own
            || (Serves(set.Name) ? InUse(own, disk) : Admitted(own, disk)) is not { } device)
        {
            // Not in use here, which says nothing against it: this node told the others, and they decide together.
            return new DiskVerdict(DiskFinding.Silent, VerdictOn(set.Name, disk.Id)?.Message ?? $"disk '{disk.Name}' is not open here yet");
        }

        try
        {
            var label = StateWords.Label(state, set, disk, logPosition);
            var expected = StateWords.Expected(state, set, disk, self.Name);
            var (verdict, facts) = await own.RunAsync(
                () => (Stamp(device, expected, StateWords.Stamps(set, set, disk.Name), label, mayWrite), DiskFacts.Of(device, expected)),
                cancellationToken, limit: limit);
            Note(set, disk, facts);
            // A node that was paused reads labels that a later one on duty has written: the label is newer than its state, not than the set.
            if (verdict.Finding == DiskFinding.Newer && (await CommittedAsync(cancellationToken)).Set(set.Name)?.NextStamp != set.NextStamp)
                verdict = new DiskVerdict(DiskFinding.Silent, $"disk '{disk.Name}' has been stamped since by another node");
            if (verdict.IsUsable) _notStamped.Over($"{set.Name}/{disk.Name}");
            else SayNotStamped(set, disk, verdict.Message);
            return verdict;
        }
        catch (IOException failure)
        {
            SayNotStamped(set, disk, failure.Message);
            return new DiskVerdict(DiskFinding.Silent, failure.Message);
        }
    }

    private void SayNotStamped(SetState set, DiskState disk, string reason) =>
        _notStamped.Log($"{set.Name}/{disk.Name}", reason, () => LogNotStamped(logger, set.Name, reason));

    /// <summary>What was seen of a disk in use when it was stamped here last; null if it never was.</summary>
    public DiskFacts? FactsOf(string set, string disk) =>
        feed.Current.Set(set)?.Disks.GetValueOrDefault(disk) is { Status: DiskStatus.Okay } known ? _facts.GetValueOrDefault((set, known.Id)) : null;

    private void Note(SetState set, DiskState disk, DiskFacts facts)
    {
        var former = _facts.GetValueOrDefault((set.Name, disk.Id));
        _facts[(set.Name, disk.Id)] = facts;
        if (former == facts) return;
        if (facts.GrownToBytes > 0) LogGrown(logger, set.Name, disk.Name, facts.GrownToBytes, disk.SizeBytes);
        if (facts.IsPathGone) LogPathGone(logger, set.Name, disk.Name, disk.PathOn(self.Name));
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
                Heard?.Invoke(new Consensus.Node.DiskWord($"'{expected.Name}' ({place.Path})", label.LogPosition));
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

    [LoggerMessage(3515, LogLevel.Warning, "Set {Set}: the path of disk {Disk}, {Path}, leads to it no more; it is used as long as this node runs")]
    private static partial void LogPathGone(ILogger logger, string set, string disk, string path);

    [LoggerMessage(3512, LogLevel.Information, "Set {Set}: a disk cannot be judged now: {Reason}")]
    private static partial void LogUnknown(ILogger logger, string set, string reason);
}
