using RaftMirror.DataPlane.Devices;
using RaftMirror.DataPlane.Metadata;
using RaftMirror.Primitives;

namespace RaftMirror.Simulation.Mirrors;

/// <summary>What the committed state knows of the set's labels: the oracle's copy of the rules of <c>Stamps</c> and <c>StampEvolution</c>. What a
/// disk is, the product's own verdict says (<see cref="DiskIdentity"/>).</summary>
internal sealed class SimStamps(Xoshiro random)
{
    private readonly Guid _cluster = Draw(random);
    private readonly Guid _set = Draw(random);
    private readonly Dictionary<string, LabelStamp> _completed = new(StringComparer.Ordinal);
    private readonly Dictionary<string, LabelStamp> _leftAt = new(StringComparer.Ordinal);
    private readonly Dictionary<string, ulong> _newestEver = new(StringComparer.Ordinal);
    private readonly List<LabelStamp> _opened = [];
    private ulong _activation = 1;
    private ulong _activating;

    /// <summary>The stamp that may be written now.</summary>
    public LabelStamp Next { get; private set; } = new(1, Guid.Empty, 1);

    public void Add(SimDisk disk)
    {
        disk.Id = Draw(random);
        disk.Stamp = Next;
        _completed[disk.Name] = Next;
    }

    /// <summary>An activation begins: a stamp of its own is open. The same life goes on with the one that it began.</summary>
    public void Activate(ulong incarnation)
    {
        if (_activating == incarnation) return;
        _activating = incarnation;
        _activation++;
        Open();
    }

    public DiskVerdict Judge(SimDisk disk)
    {
        var label = new DiskLabel(_cluster, _set, disk.Id, SimDisk.FullBytes, DiskLayout.MinMetadataBytes, 4, 0, 4096, 1, 1, disk.Stamp);
        var expected = new ExpectedDisk(disk.Name, $"/{disk.Name}", _cluster, _set, disk.Id, SimDisk.FullBytes, new Dictionary<Guid, string>());
        return DiskIdentity.Judge(expected, disk.SizeBytes, new LabelReading(DeviceStatus.Ok, label, disk.IsEndBlank), ExpectationOf(disk.Name));
    }

    /// <summary>As LabelStamper does: a look at what is there comes first.</summary>
    public DiskVerdict Stamp(SimDisk disk)
    {
        var verdict = Judge(disk);
        if (verdict.IsUsable) disk.Stamp = Next;
        return verdict;
    }

    /// <summary>The command that completes a stamp opens the next.</summary>
    public void Complete(IEnumerable<string> stamped)
    {
        foreach (var disk in stamped) (_completed[disk], _newestEver[disk]) = (Next, Next.Number);
        Open();
    }

    /// <summary>The disk is lost: what may be on its label is known from now on.</summary>
    public void Left(string disk) => _leftAt[disk] = Next;

    public void Returned(string disk, bool isEverythingOwed)
    {
        _leftAt.Remove(disk);
        if (isEverythingOwed) _completed[disk] = default;
    }

    /// <summary>True if a copy with that label is older than the newest stamp that was ever completed on the disk: a younger one cannot be told apart.</summary>
    public bool IsOlderThanKnown(string disk, LabelStamp label) => label.Number < _newestEver.GetValueOrDefault(disk);

    /// <summary>A disk that is owed everything carries an old label until it is stamped: before that it is no source (ADR 0020).</summary>
    public bool IsStamped(string disk) => _completed[disk].Number > 0;

    /// <summary>A number of another history: one that is known to be on the disk, one that may be, or one that is not known yet.</summary>
    public LabelStamp Forked(string disk)
    {
        var (completed, newest) = ExpectationOf(disk);
        var number = completed.Number > 0 && random.Chance(0.5)
            ? completed.Number + (ulong)random.NextInt64((long)(newest.Number - completed.Number) + 1)
            : newest.Number + 20;
        return new LabelStamp(number, Draw(random), _activation);
    }

    private StampExpectation ExpectationOf(string disk) => new(_completed[disk], _leftAt.TryGetValue(disk, out var left) ? left : Next)
    {
        Opened = _opened,
    };

    private void Open()
    {
        Next = new LabelStamp(Next.Number + 1, Draw(random), _activation);
        if (_opened.Count == 32) _opened.RemoveAt(0);
        _opened.Add(Next);
    }

    private static Guid Draw(Xoshiro random)
    {
        Span<byte> bytes = stackalloc byte[16];
        for (var i = 0; i < bytes.Length; i++) bytes[i] = (byte)random.Next(256);
        return new Guid(bytes);
    }
}
