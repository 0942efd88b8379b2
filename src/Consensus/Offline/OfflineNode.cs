using RaftMirror.Consensus.Core;
using RaftMirror.Consensus.Model;
using RaftMirror.Consensus.Node;
using RaftMirror.Consensus.Snapshots;
using RaftMirror.Consensus.Storage;
using RaftMirror.Primitives;

namespace RaftMirror.Consensus.Offline;

/// <summary>
/// Looks at, and in a disaster recovers, the data directory of a node that does not run. Takes its lock, never writes to it. Any thread.
/// </summary>
public static class OfflineNode
{
    private const long SegmentBytes = 16 * 1024 * 1024;

    /// <summary>Reports everything.</summary>
    /// <param name="directory">Of the node.</param>
    /// <param name="entries">How many of the last entries to show.</param>
    /// <param name="withFrames">List every frame.</param>
    /// <exception cref="InvalidOperationException">No data directory, one in use, or an identity that cannot be read.</exception>
    /// <exception cref="IOException">A file cannot be opened.</exception>
    public static OfflineReport Inspect(string directory, int entries = 0, bool withFrames = false)
    {
        using var held = Hold(directory, out var record);
        var log = WalInspector.Inspect(DirectoryIdentity.LogOf(directory));
        var analysis = WalAnalysis.Read(new DirectoryStorage(DirectoryIdentity.LogOf(directory), isReadOnly: true));
        var snapshots = ReadSnapshots(directory, record.ClusterId, out var newest);
        var configuration = NewestConfiguration(analysis, newest, record);
        var verdict = log.Verdict switch
        {
            WalVerdict.Damaged => OfflineVerdict.Damaged,
            _ when (newest?.Last.Index ?? 0) < log.Base.Index => OfflineVerdict.Damaged,
            _ when snapshots.Any(snapshot => snapshot.Damage is not null) => OfflineVerdict.SnapshotDamaged,
            WalVerdict.TornTail => OfflineVerdict.TornTail,
            _ => OfflineVerdict.Intact,
        };
        var damage = log.Damage is { } broken
            ? $"{broken.File}, byte {broken.Offset}, frame {broken.Sequence} of {broken.KnownDurable} known to be durable: {broken.What}"
            : verdict == OfflineVerdict.Damaged ? $"the log begins behind entry {log.Base.Index} and no sound snapshot reaches it"
            : snapshots.LastOrDefault(snapshot => snapshot.Damage is not null)?.Damage;
        return new OfflineReport(
            directory, record.NodeId, record.ClusterId, record.ClusterName, record.Incarnation, verdict, damage, log.HardState.Term,
            log.HardState.Vote.Value == 0 ? null : log.HardState.Vote.Value, log.HardState.Commit, log.Base.Index, log.Last.Index, log.Last.Term,
            log.KnownDurable, log.Cut.Count, configuration.ToString(), ReadQuarantine(directory),
            SalvagedLog.WhyRefused(directory, record) is not null,
            [.. log.Segments.Select(segment => new OfflineSegment(
                segment.Name, segment.LengthBytes, segment.Frames.Count, segment.Frames.Count == 0 ? 0 : segment.Frames.Min(frame => frame.FirstIndex),
                segment.Frames.Count == 0 ? 0 : segment.Frames.Max(frame => frame.LastIndex), segment.IsObsolete))],
            snapshots)
        {
            Entries = [.. analysis.Entries.Skip(Math.Max(0, analysis.Entries.Count - entries)).Select(entry => RaftNode.ViewOf(entry))],
            Names = configuration.Details.Where(member => member.Name.Length > 0).ToDictionary(member => member.Id.Value, member => member.Name),
            Frames = withFrames
                ? [.. log.Segments.SelectMany(segment => segment.Frames).Select(frame =>
                    new OfflineFrame(
                    frame.Segment, frame.Offset, frame.Sequence, frame.Bytes, frame.FirstIndex, frame.LastIndex, frame.HardState.Term,
                    frame.HardState.Commit, frame.Verdict == FrameVerdict.Intact))]
                : null,
        };
    }

    /// <summary>Makes a new data directory of an old one whose cluster has lost its majority for ever: all that the log still holds counts as
    /// committed, this node is the only voter of a new generation of the cluster, and members of the old one are refused by its id.</summary>
    /// <param name="directory">The old data directory; only read.</param>
    /// <param name="target">The new one; must not exist. Until all is done it has ".part" behind its name.</param>
    /// <param name="reason">The operator's words, for the receipt.</param>
    /// <param name="at">Now.</param>
    /// <param name="nameOf">A member's name where the log does not tell it; may return null.</param>
    /// <param name="complete">Called with the unfinished new directory before it gets its name, to add what the caller keeps there.</param>
    /// <exception cref="ArgumentException">The target exists, or there is no reason.</exception>
    /// <exception cref="InvalidOperationException">The directory is in use, none of a node, or what is left of it gives no state.</exception>
    /// <exception cref="IOException">Something could not be read or written; there is no target then.</exception>
    public static RecoveryResult Recover(
        string directory, string target, string reason, DateTimeOffset at, Func<ushort, string?>? nameOf = null,
        Action<string, RecoveryResult>? complete = null)
    {
        target = Path.TrimEndingDirectorySeparator(Path.GetFullPath(target));
        var part = target + ".part";
        if (target.StartsWith(Path.TrimEndingDirectorySeparator(Path.GetFullPath(directory)) + Path.DirectorySeparatorChar, StringComparison.Ordinal))
            throw new ArgumentException($"{target} lies in {directory}, which is only read: name another place.");
        if (Path.Exists(target)) throw new ArgumentException($"{target} exists: name a directory that does not.");
        if (Path.Exists(part)) throw new ArgumentException($"{part} is left of an attempt that did not end: remove it.");
        if (string.IsNullOrWhiteSpace(reason)) throw new ArgumentException("A reason is needed: it goes into the receipt.");
        using var held = Hold(directory, out var record);
        Directory.CreateDirectory(part, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
        try
        {
            var result = Recover(directory, part, target, record, reason, at, nameOf);
            complete?.Invoke(part, result);
            Directory.Move(part, target);
            Linux.SyncDirectory(Path.GetDirectoryName(target)!);
            return result;
        }
        catch
        {
            if (Directory.Exists(part)) Directory.Delete(part, recursive: true);
            throw;
        }
    }

    private static RecoveryResult Recover(
        string directory, string part, string target, NodeRecord record, string reason, DateTimeOffset at, Func<ushort, string?>? nameOf)
    {
        var next = DirectoryIdentity.Next(record);
        var incarnation = next.Incarnation;
        var receipt = WalSalvage.Recover(DirectoryIdentity.LogOf(directory), DirectoryIdentity.LogOf(part), SegmentBytes, incarnation, reason, at);
        var clusterId = Guid.NewGuid();
        var snapshot = CopySnapshot(directory, part, record.ClusterId, clusterId, receipt.KeptBase.Index);
        var storage = new DirectoryStorage(DirectoryIdentity.LogOf(part));
        var before = snapshot is not null && snapshot.Last.Index > WalInspector.Inspect(DirectoryIdentity.LogOf(part)).Last.Index
            ? snapshot.Configuration
            : NewestConfiguration(WalAnalysis.Read(storage), snapshot, record);
        var self = new NodeId(record.NodeId);
        var slot = before.SlotOf(self);
        var address = slot >= 0 && before.Details[slot].Address.Length > 0 ? before.Details[slot].Address : record.Members.GetValueOrDefault(record.NodeId);
        if (address is null) throw new InvalidOperationException($"Node {self} was no member any more: its state may be far behind. Recover another node.");
        var name = slot >= 0 ? before.Details[slot].Name : string.Empty;
        if (name.Length == 0) name = nameOf?.Invoke(record.NodeId) ?? string.Empty;
        var alone = new Configuration([self], details: [new Member(self, name, address)], nextId: before.NextId);
        ulong last;
        using (var wal = new WriteAheadLog(storage, SegmentBytes, incarnation))
        {
            var recovered = wal.Recovered;
            var previous = recovered.Entries.Count > 0 ? recovered.Entries[^1].Id : recovered.Base;
            var isBehind = snapshot is not null && snapshot.Last.Index > previous.Index;
            if (isBehind) previous = snapshot!.Last;
            last = previous.Index;
            var term = Math.Max(recovered.HardState.Term, previous.Term) + 1;
            var entry = new LogEntry(
                new EntryId(term, previous.Index + 1), EntryType.Configuration, default, ConfigurationCodec.Encode(alone));
            wal.ForgetRecovered();
            var commit = Math.Max(recovered.HardState.Commit, snapshot?.Last.Index ?? 0);

            // What is left of the log ends before the snapshot: it begins anew there, as after a snapshot that came from a leader.
            if (isBehind) wal.AppendAll(new WriteBatch(1, new HardState(term, default, commit), previous, [], IsReset: true));
            wal.AppendAll(new WriteBatch(2, new HardState(term, default, commit), previous, [entry]));
            wal.FlushAll();
        }

        var enacted = next with
        {
            ClusterId = clusterId,
            Members = new SortedDictionary<ushort, string> { [record.NodeId] = address },
            Joined = false,
            EnactedReceipt = SalvagedLog.Fingerprint(part),
        };
        DirectoryIdentity.Save(Path.Combine(part, DirectoryIdentity.FileName), enacted);
        return new RecoveryResult(
            target, record.NodeId, name, address, record.ClusterId, clusterId, record.ClusterName, receipt.WasDamaged, last, Math.Max(receipt.KeptCommit, snapshot?.Last.Index ?? 0),
            receipt.LostKnownDurableFrames, File.ReadAllText(Path.Combine(DirectoryIdentity.LogOf(part), WalSalvage.ReceiptName)));
    }

    /// <summary>The newest sound snapshot, under the new cluster's id.</summary>
    private static SnapshotMeta? CopySnapshot(string directory, string part, Guid oldId, Guid newId, ulong neededIndex)
    {
        var folder = SnapshotsOf(directory);
        SnapshotMeta? copy = null;
        if (Directory.Exists(folder))
        {
            // Opening a store tidies up what a crash left there. That is not this tool's to do in the old directory.
            var links = SnapshotsOf(part) + ".old";
            Directory.CreateDirectory(links);
            foreach (var file in Directory.GetFiles(folder)) File.Copy(file, Path.Combine(links, Path.GetFileName(file)));
            var old = new SnapshotStore(new DirectorySnapshotStorage(links), oldId).OpenNewestVerified();
            using (var reader = old.Snapshot)
            {
                if (reader is not null)
                {
                    var store = new SnapshotStore(new DirectorySnapshotStorage(SnapshotsOf(part)), newId);
                    copy = store.Write(reader.Meta.Last, reader.Meta.Configuration, reader.StateChain, new Copy(reader));
                }
            }

            Directory.Delete(links, recursive: true);
        }

        return (copy?.Last.Index ?? 0) >= neededIndex
            ? copy
            : throw new InvalidOperationException(
                $"The log begins behind entry {neededIndex}, and no sound snapshot reaches it: the state cannot be had from this directory.");
    }

    private static List<OfflineSnapshot> ReadSnapshots(string directory, Guid clusterId, out SnapshotMeta? newest)
    {
        var found = new List<OfflineSnapshot>();
        newest = null;
        var folder = SnapshotsOf(directory);
        if (!Directory.Exists(folder)) return found;
        var storage = new DirectorySnapshotStorage(folder);
        foreach (var name in storage.List())
        {
            if (!SnapshotName.TryParse(name, out var last)) continue;
            try
            {
                using var reader = SnapshotReader.Open(storage.Open(name));
                if (reader.ClusterId != clusterId) throw new InvalidDataException($"it is of another cluster, {reader.ClusterId}");
                if (reader.Meta.Last != last) throw new InvalidDataException($"it ends with entry {reader.Meta.Last} instead of {last}");
                if (newest is null || newest.Last.Index < last.Index) newest = reader.Meta;
                found.Add(new OfflineSnapshot(last.Index, last.Term, reader.Meta.LengthBytes, reader.Meta.Configuration.ToString(), null));
            }
            catch (Exception broken) when (broken is InvalidDataException or IOException)
            {
                found.Add(new OfflineSnapshot(last.Index, last.Term, 0, null, broken.Message));
            }
        }

        return [.. found.OrderBy(snapshot => snapshot.Index)];
    }

    private static Configuration NewestConfiguration(WalAnalysis log, SnapshotMeta? snapshot, NodeRecord record)
    {
        foreach (var entry in log.Entries.Reverse())
        {
            if (entry.Type != EntryType.Configuration) continue;
            var error = ConfigurationCodec.TryDecode(entry.Payload.Span, out var configuration);
            if (error is null) return configuration!;
            throw new InvalidOperationException($"The configuration at entry {entry.Index} cannot be read: {error}");
        }

        if (snapshot is not null) return snapshot.Configuration;
        return record.Joined
            ? Configuration.Empty
            : new Configuration(
                record.Members.Keys.Select(id => new NodeId(id)),
                details: record.Members.Select(member => new Member(new NodeId(member.Key), string.Empty, member.Value)));
    }

    private static string? ReadQuarantine(string directory)
    {
        var path = Path.Combine(directory, RaftNode.QuarantineFile);
        return File.Exists(path) ? RaftNode.LoadQuarantine(directory)?.ToString() : null;
    }

    /// <summary>Holds the lock of a node that does not run.</summary>
    private static Microsoft.Win32.SafeHandles.SafeFileHandle Hold(string directory, out NodeRecord record)
    {
        var path = Path.Combine(directory, DirectoryIdentity.FileName);
        if (!File.Exists(path)) throw new InvalidOperationException($"{directory} is no data directory: it has no {DirectoryIdentity.FileName}.");
        if (!Directory.Exists(DirectoryIdentity.LogOf(directory))) throw new InvalidOperationException($"{directory} has no log.");
        var held = Linux.Open(Path.Combine(directory, "LOCK"), writable: true, create: true);
        try
        {
            if (!Linux.TryLock(held)) throw new InvalidOperationException($"A running node uses {directory} (its LOCK file is held): stop it first.");
            record = DirectoryIdentity.Read(path);
            return held;
        }
        catch
        {
            held.Dispose();
            throw;
        }
    }

    private static string SnapshotsOf(string directory) => Path.Combine(directory, "snapshots");

    private sealed class Copy(SnapshotReader reader) : ISnapshotSource
    {
        public void WriteTo(Stream destination)
        {
            using var state = reader.OpenState();
            state.CopyTo(destination);
        }
    }
}
