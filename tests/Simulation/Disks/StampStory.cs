using RaftMirror.ControlPlane;
using RaftMirror.ControlPlane.Commands;
using RaftMirror.ControlPlane.Model;
using RaftMirror.ControlPlane.Snapshots;
using RaftMirror.DataPlane.Devices;
using RaftMirror.DataPlane.Metadata;
using RaftMirror.Primitives;
using RaftMirror.Simulation.Harness;

namespace RaftMirror.Simulation.Disks;

/// <summary>Bugs that the story can be given, to prove that its checks find them.</summary>
internal enum StampBug
{
    /// <summary>The product as it is.</summary>
    None,

    /// <summary>Labels are read for whose disk it is, and not for when.</summary>
    IgnoresStamps,

    /// <summary>Two histories that gave the same number are one.</summary>
    IgnoresNonces,

    /// <summary>A stamp that was started and not completed counts as newer than the state.</summary>
    KnowsCompletedOnly,

    /// <summary>The stamp is written without a look at what is there.</summary>
    StampsBlindly,

    /// <summary>Every disk is called stamped, also those that were not reached.</summary>
    CompletesUnstamped,
}

/// <summary>One set on two disks, through activations, beats, kills, and people who put other disks in place. The state machine, the label
/// code and the verdict are the product's; what a disk holds is a version that grows with each write.</summary>
/// <remarks>I-SRC: a disk that is in use lacks nothing that was written before the last stamp that is completed on it. And no
/// disk that nobody touched is ever refused, whatever step the nodes died in.</remarks>
internal sealed class StampStory(ulong seed, StampBug bug)
{
    private const long DiskBytes = 8 << 20;
    private static readonly string[] Names = ["d1", "d2"];
    private readonly Xoshiro _random = new(seed);
    private readonly Dictionary<string, Disk> _disks = [];
    private readonly List<(string Name, Disk Copy)> _copies = [];
    private readonly HashSet<string> _touched = [];
    private readonly HashSet<string> _inUse = [];
    private readonly Dictionary<string, int> _atStamp = []; // Version when the newest completed stamp was written.
    private ClusterState _state = ClusterState.Empty;
    private ulong _index;
    private long _nowMs = 1_800_000_000_000;
    private ulong _incarnation = 1;
    private int _version;

    public int Refused { get; private set; }

    public int Activations { get; private set; }

    private SetState Set => _state.Sets["s"];

    private bool IsServed => Set.Members["a"].JoinedIncarnation == _incarnation;

    public void Run(int steps)
    {
        Begin();
        for (var i = 0; i < steps; i++)
        {
            _nowMs += 1000;
            Step();
        }
    }

    private void Begin()
    {
        Do(new BootstrapCluster("story", Id()));
        Do(new RegisterNode("a", 1, _incarnation, "h:1", "h:2", "h:3"));
        Do(new CreateSet("s", Id(), ["a"], MaxNodes: 4, MetadataBytes: DiskLayout.MinMetadataBytes));
        Do(new JoinSet("s", "a", _incarnation));
        foreach (var name in Names)
        {
            var disk = _disks[name] = new Disk(new MemoryBlockDevice(name, DiskBytes), 0);
            var id = Id();
            ClusterChecker.Require(LabelStore.Write(disk.Device, Label(id)) == DeviceStatus.Ok, "a disk takes its label");
            Do(new AddDisk("s", name, id, DiskBytes, 512, true, "a", $"/{name}", OrdinalMap.Empty<string>(),
                OrdinalMap.Empty<ulong>().Add("a", _incarnation), Set.NextStamp));
            _inUse.Add(name);
            _atStamp[name] = 0;
        }
    }

    private void Step()
    {
        if (!IsServed)
        {
            if (_random.Chance(0.3)) PutBack();
            Activate();
            return;
        }

        switch (_random.Next(10))
        {
            case 0 or 1 or 2 or 3:
                _version++;
                foreach (var name in _inUse) _disks[name].Version = _version;
                break;
            case 4 or 5:
                Beat(isCut: _random.Chance(0.2));
                break;
            case 6:
                var copied = Names[_random.Next(2)];
                _copies.Add((copied, _disks[copied].Copy()));
                break;
            default:
                if (_random.Chance(0.5)) Kill();
                break;
        }
    }

    private void PutBack()
    {
        var candidates = _copies.Where(copy => _disks[copy.Name].Version != copy.Copy.Version || copy.Copy.LabelNumber() != _disks[copy.Name].LabelNumber()).ToList();
        if (candidates.Count == 0) return;
        var (name, copy) = candidates[_random.Next(candidates.Count)];
        _disks[name] = copy.Copy();
        _touched.Add(name);
    }

    /// <summary>The copy has served elsewhere: it carries the number that is open here, of another history.</summary>
    private void Fork(string name)
    {
        var (next, device) = (Set.NextStamp!, _disks[name].Device);
        var label = DiskIdentity.Read(device, DiskBytes).Label!;
        LabelStore.Write(device, label with { Stamp = new LabelStamp(next.Number, Guid.NewGuid(), next.Activation) });
    }

    /// <summary>kill -9, and a new process: fenced, nothing to merge.</summary>
    private void Kill()
    {
        _inUse.Clear();
        _incarnation++;
        Do(new RegisterNode("a", 1, _incarnation, "h:1", "h:2", "h:3"));
        if (_state.Nodes["a"].Predecessor is not { } old) return;
        Do(new FenceNode("a", old.Incarnation, new FenceReceipt("lease", "a", 1, 4000, 3520, 3000, old.SinceIndex)));
    }

    private void Activate()
    {
        Do(new StartActivation("s", "a", _incarnation));
        Activations++;
        if (_random.Chance(0.15))
        {
            Kill();
            return;
        }

        var stamped = new List<string>();
        foreach (var name in Stamps.DisksToStamp(Set))
        {
            if (_touched.Contains(name) && _random.Chance(0.3)) Fork(name);
            var verdict = Judge(name);
            ClusterChecker.Require(verdict.IsUsable || _touched.Contains(name), $"a disk that nobody touched is refused: {verdict}");
            if (!verdict.IsUsable)
            {
                Refused++;
                Replace(name); // Somebody puts the right one back.
                Kill();
                return;
            }

            if (!Stamp(name, _random.Chance(0.1)))
            {
                Kill(); // Between the two copies of the label.
                return;
            }

            stamped.Add(name);
            Use(name);
            if (!_random.Chance(0.1)) continue;
            Kill();
            return;
        }

        Do(new CompleteActivation("s", Set.Activation, "a", _incarnation, [.. stamped]));
        foreach (var name in stamped) _atStamp[name] = _disks[name].Version; // A copy that passed is younger than a beat: that is the bound.
        _touched.Clear();
    }

    /// <summary>The disk as it would be had nobody touched it: its data, and the last stamp completed on it.</summary>
    private void Replace(string name)
    {
        var known = Stamps.CompletedOf(Set.Disks[name]);
        LabelStore.Write(_disks[name].Device, Label(Set.Disks[name].Id) with { Stamp = new LabelStamp(known.Number, known.Nonce, known.Activation) });
        _disks[name].Version = _version;
        _touched.Remove(name);
    }

    private void Beat(bool isCut)
    {
        var stamped = Stamps.DisksToStamp(Set).Where(name => !isCut || _random.Chance(0.5)).Where(name => Stamp(name, false)).ToList();
        if (isCut && _random.Chance(0.5))
        {
            Kill();
            return;
        }

        var told = bug == StampBug.CompletesUnstamped ? Stamps.DisksToStamp(Set) : [.. stamped];
        Do(new StampLabels("s", Set.Generation, "a", _incarnation, Set.NextStamp!.Number, told));
        foreach (var name in stamped) _atStamp[name] = _disks[name].Version; // A copy that passed is younger than a beat: that is the bound.
    }

    private bool Stamp(string name, bool isCut)
    {
        var wanted = Label(Set.Disks[name].Id);
        if (bug == StampBug.StampsBlindly) return LabelStore.Write(_disks[name].Device, wanted) == DeviceStatus.Ok;
        var writes = 0;
        var verdict = LabelStamper.Stamp(_disks[name].Device, Expected(name), Expectation(name), wanted, () => !isCut || writes++ == 0);
        return verdict.IsUsable;
    }

    private DiskVerdict Judge(string name) => bug == StampBug.StampsBlindly
        ? new DiskVerdict(DiskFinding.Usable, "")
        : DiskIdentity.Judge(Expected(name), DiskBytes, DiskIdentity.Read(_disks[name].Device, DiskBytes), Expectation(name));

    /// <summary>I-SRC.</summary>
    private void Use(string name)
    {
        _inUse.Add(name);
        ClusterChecker.Require(
            _disks[name].Version >= _atStamp[name],
            $"I-SRC: {name} is a source with version {_disks[name].Version}, and {_atStamp[name]} was written before the stamp that is completed on it");
        if (!_touched.Contains(name)) return;
        var label = DiskIdentity.Read(_disks[name].Device, DiskBytes).Label!.Stamp;
        ClusterChecker.Require(
            bug == StampBug.StampsBlindly || label.Nonce == Set.NextStamp!.Nonce || label.Number < Set.NextStamp.Number,
            $"I-SRC: {name} is a source and follows another history");
    }

    private StampExpectation Expectation(string name)
    {
        var disk = Set.Disks[name];
        var completed = Words(Stamps.CompletedOf(disk));
        var newest = Words(Stamps.NewestOf(Set, disk));
        var found = DiskIdentity.Read(_disks[name].Device, DiskBytes).Label!.Stamp;
        return bug switch
        {
            StampBug.IgnoresStamps => new StampExpectation(found, found),
            StampBug.IgnoresNonces when found.Number == newest.Number => new StampExpectation(completed, found) { Opened = [.. Set.OpenedStamps.Select(Words)] },
            StampBug.KnowsCompletedOnly => new StampExpectation(completed, completed.Number == 0 ? newest : completed),
            _ => new StampExpectation(completed, newest) { Opened = [.. Set.OpenedStamps.Select(Words)] },
        };
    }

    private static LabelStamp Words(StampState stamp) => new(stamp.Number, stamp.Nonce, stamp.Activation);

    private ExpectedDisk Expected(string name) =>
        new(name, $"/{name}", _state.Id, Set.Id, Set.Disks[name].Id, DiskBytes, new Dictionary<Guid, string>());

    private DiskLabel Label(Guid disk) => new(
        _state.Id, Set.Id, disk, DiskBytes, DiskLayout.MinMetadataBytes, 4, 0, 4096, Set.Generation, 1, Words(Set.NextStamp!));

    private void Do(CommandBody body)
    {
        _nowMs += 10;
        var (state, result, _) = ControlPlaneMachine.Step(
            _state, ++_index, CommandCodec.Encode(new CommandEnvelope(Id(), _nowMs, "story", null, body)));
        var outcome = CommandCodec.DecodeResult(result);
        ClusterChecker.Require(outcome.Outcome == CommandOutcome.Applied, $"{body.GetType().Name}: {outcome.Code} {outcome.Message}");
        _state = state;
    }

    private Guid Id()
    {
        Span<byte> bytes = stackalloc byte[16];
        for (var i = 0; i < 6; i++) bytes[i] = (byte)(_nowMs >> (40 - (8 * i)));
        for (var i = 6; i < 16; i++) bytes[i] = (byte)_random.Next(256);
        bytes[6] = (byte)(0x70 | (bytes[6] & 15));
        bytes[8] = (byte)(0x80 | (bytes[8] & 63));
        return new Guid(bytes, bigEndian: true);
    }

    private sealed class Disk(MemoryBlockDevice device, int version)
    {
        public MemoryBlockDevice Device { get; } = device;

        public int Version { get; set; } = version;

        public ulong LabelNumber() => DiskIdentity.Read(Device, DiskBytes).Label!.Stamp.Number;

        /// <summary>Its labels are all that is on it.</summary>
        public Disk Copy()
        {
            var copy = new MemoryBlockDevice(Device.Name, DiskBytes);
            using var block = AlignedBufferPool.Shared.Rent(DiskLayout.LabelBytes);
            foreach (var offset in (ReadOnlySpan<long>)[0, DiskLayout.TailLabelOffsetOf(DiskBytes)])
            {
                Device.Read(offset, block.GetSpan()[..DiskLayout.LabelBytes]);
                copy.Write(offset, block.GetSpan()[..DiskLayout.LabelBytes]);
            }

            return new Disk(copy, Version);
        }
    }
}
