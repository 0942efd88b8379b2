using RaftMirror.DataPlane.Devices;
using RaftMirror.DataPlane.Metadata;
using RaftMirror.Primitives;

namespace RaftMirror.Simulation.Mirrors;

/// <summary>A shared disk of blocks, each holding the number of the write that it came from, in cache and on stable storage.</summary>
internal sealed class SimDisk(string name, int blocks)
{
    public string Name { get; } = name;

    public ulong[] Cached { get; } = new ulong[blocks];

    public ulong[] Durable { get; } = new ulong[blocks];

    /// <summary>Node that wrote the block last.</summary>
    public string?[] LastWriter { get; } = new string?[blocks];

    public bool FailsWrites { get; set; }

    /// <summary>While it fails: only the way to it is gone, not what is on it.</summary>
    public bool IsPathLost { get; set; }

    /// <summary>Blocks that never had a byte find no space.</summary>
    public bool IsFull { get; set; }

    private readonly bool[] _isAllocated = new bool[blocks];
    private int _firstMissing = blocks;

    /// <summary>Size when it was added, as its label says.</summary>
    public const long FullBytes = 8 << 20;

    public Guid Id { get; set; }

    /// <summary>What its label carries.</summary>
    public LabelStamp Stamp { get; set; }

    public long SizeBytes { get; private set; } = FullBytes;

    /// <summary>The place of the tail label is a hole.</summary>
    public bool IsEndBlank { get; private set; }

    /// <summary>Its file was cut below those who use it: no write lands, and no read behind the end.</summary>
    public bool IsCut => SizeBytes < FullBytes;

    /// <summary>That it is not the right one was counted.</summary>
    public bool IsRefused { get; set; }

    public SimDiskImage Image() => new(Name, [.. Cached], [.. LastWriter], [.. _isAllocated], Stamp);

    /// <summary>A disk of its own with that content.</summary>
    public static SimDisk From(SimDiskImage image, Guid id)
    {
        var disk = new SimDisk(image.Disk, image.Content.Length) { Id = id };
        disk.Become(image);
        return disk;
    }

    /// <summary>Another disk, or what it was, lies under its name from now on. Nobody has I/O to it.</summary>
    public void Become(SimDiskImage image)
    {
        image.Content.CopyTo(Cached, 0);
        image.Content.CopyTo(Durable, 0);
        image.LastWriter.CopyTo(LastWriter, 0);
        image.IsAllocated.CopyTo(_isAllocated, 0);
        (Stamp, SizeBytes, IsEndBlank, IsRefused) = (image.Stamp, FullBytes, false, false);
    }

    /// <summary>Its file is cut: what lies from that block on is gone.</summary>
    public void Shrink(int firstMissing)
    {
        _firstMissing = firstMissing;
        SizeBytes = FullBytes / 2;
    }

    /// <summary>Somebody makes the file long again: a hole, which reads as zeros.</summary>
    public void GrowBack()
    {
        for (var block = _firstMissing; block < Cached.Length; block++)
        {
            (Cached[block], Durable[block], LastWriter[block], _isAllocated[block]) = (0, 0, null, false);
        }

        (SizeBytes, IsEndBlank) = (FullBytes, true);
    }

    /// <summary>True if a block cannot be read, since it lies behind the end.</summary>
    public bool IsBehindEnd(int block) => IsCut && block >= _firstMissing;

    /// <summary>How any write ends now, but for want of space.</summary>
    public DeviceStatus WriteStatus => FailsWrites ? DeviceStatus.IoError : IsCut ? DeviceStatus.Unreachable : DeviceStatus.Ok;

    /// <summary>Writes a block, unless there is no space for it.</summary>
    public bool TryWrite(int block, ulong value, string writer)
    {
        if (IsFull && !_isAllocated[block]) return false;
        _isAllocated[block] = true;
        Cached[block] = value;
        LastWriter[block] = writer;
        return true;
    }

    /// <summary>While it is set nothing that was submitted lands, and nothing fails.</summary>
    public bool IsHanging { get; set; }

    public long HangingSinceNs { get; set; }

    public void Flush() => Cached.CopyTo(Durable, 0);
}

/// <summary>Leg I/O that a node submitted and that has not ended, dead nodes' included.</summary>
internal sealed class SimIo
{
    public required string Node { get; init; }

    public required ulong Incarnation { get; init; }

    public required SimDisk Disk { get; init; }

    public required ByteRange Blocks { get; init; }

    public required bool IsCopy { get; init; }

    public required bool IsWrite { get; init; }

    public long SubmittedNs { get; init; }

    /// <summary>The operation and leg that it was submitted for.</summary>
    public (ulong Id, int Leg) Operation { get; init; }

    /// <summary>The client's request that it is part of; null for the core's own.</summary>
    public MirrorWorld.OpenRequest? Request { get; init; }

    /// <summary>Its core waits for it no longer; it lands all the same.</summary>
    public bool IsGivenUp { get; set; }

    /// <summary>Blocks that have not landed.</summary>
    public int Remaining { get; set; }

    /// <summary>How some block failed.</summary>
    public DeviceStatus Failure { get; set; }

    /// <summary>Some block lies behind the end of a file that was cut.</summary>
    public bool IsBehindEnd { get; set; }

    /// <summary>Some block found no space.</summary>
    public bool IsShort { get; set; }

    /// <summary>A dead node's: when it lands. 0 while its node lives.</summary>
    public long LateUntilNs { get; set; }
}

/// <summary>What clients were told, per block, and whether what they read agrees with it.</summary>
internal sealed class BlockHistory(int blocks, bool checksRepeat)
{
    public const long Never = long.MaxValue;

    private readonly List<Entry>[] _writes = Make(blocks);
    private readonly (ulong Value, long Start, long End)[] _stable = new (ulong, long, long)[blocks];

    /// <summary>After a lost life of an ABR writer its legs may differ; then repeated reads may too.</summary>
    public bool ChecksRepeat { get; set; } = checksRepeat;

    public Entry Begin(int block, ulong value, long now)
    {
        var entry = new Entry { Value = value, Start = now };
        _writes[block].Add(entry);
        return entry;
    }

    /// <summary>Null if a read that ran from <paramref name="start"/> to <paramref name="end"/> may have given the value.</summary>
    public string? Check(int block, ulong value, long start, long end)
    {
        var writes = _writes[block];
        Entry? source = null;
        foreach (var write in writes)
        {
            if (write.Value == value) source = write;
        }

        if (value != 0 && source is null) return $"I-READ block {block}: value {value} was never written there";
        if (source is not null && source.Start > end) return $"I-READ block {block}: value {value} before its write";
        foreach (var later in writes)
        {
            // A later acknowledged write began after the source had ended, and was acknowledged before the read.
            if (!later.IsAcknowledged || later.End >= start || later.Value == value) continue;
            if (source is null || source.OrderEnd < later.Start)
            {
                return $"I-NOLOSS block {block}: read {value} at {start / 1000000} ms, but {later.Value} was acknowledged at {later.End / 1000000} ms";
            }
        }

        return CheckRepeat(block, value, start, end);
    }

    private string? CheckRepeat(int block, ulong value, long start, long end)
    {
        if (!ChecksRepeat) return null;
        var (former, since, until) = _stable[block];
        var isQuiet = true;
        var wasQuiet = until > 0 && start > until; // Reads that overlap have no order.
        foreach (var write in _writes[block])
        {
            if (write.Start <= end && write.End >= start) isQuiet = false;
            if (write.Start <= end && write.End >= since) wasQuiet = false;
        }

        if (wasQuiet && former != value) return $"I-READ block {block}: {former} and then {value} without a write between";
        if (isQuiet && start > until) _stable[block] = (value, start, end);
        return null;
    }

    private static List<Entry>[] Make(int count)
    {
        var lists = new List<Entry>[count];
        for (var i = 0; i < count; i++) lists[i] = [];
        return lists;
    }

    internal sealed class Entry
    {
        public ulong Value { get; init; }

        public long Start { get; init; }

        /// <summary>From here on it changes nothing any more.</summary>
        public long End { get; set; } = Never;

        /// <summary>What its client writes after this must win.</summary>
        public long OrderEnd { get; set; } = Never;

        public bool IsAcknowledged { get; set; }
    }
}
