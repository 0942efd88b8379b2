using System.Collections.Immutable;
using RaftMirror.ControlPlane.Commands;

namespace RaftMirror.ControlPlane.Model;

/// <summary>Results by request id (exactly once, thesis §6.3 for clients without sessions). Immutable.
///
/// A result is dropped once it is older than <see cref="WindowMs"/> of log time, or when there are more than <see cref="MaxCount"/>, oldest
/// by log order first; the floor then rises above the time inside the dropped id. An id below the floor is refused, so that an id
/// that is not in the table has never been executed.</summary>
public sealed class RequestTable
{
    /// <summary>How long a result is kept, log time.</summary>
    public const long WindowMs = 24L * 60 * 60 * 1000;

    /// <summary>How far an id's time may be ahead of log time: with no such limit, one id of a wrong clock would raise the floor over
    /// everybody's.</summary>
    public const long MaxAheadMs = 5L * 60 * 1000;

    /// <summary>Most results kept.</summary>
    public const int MaxCount = 10_000;

    private readonly ImmutableSortedDictionary<ulong, RequestRecord> _byIndex;
    private readonly ImmutableSortedDictionary<Guid, ulong> _byId;

    private RequestTable(
        long floorMs, ImmutableSortedDictionary<ulong, RequestRecord> byIndex, ImmutableSortedDictionary<Guid, ulong> byId)
    {
        FloorMs = floorMs;
        _byIndex = byIndex;
        _byId = byId;
    }

    /// <summary>No results.</summary>
    public static RequestTable Empty { get; } =
        new(0, ImmutableSortedDictionary<ulong, RequestRecord>.Empty, ImmutableSortedDictionary<Guid, ulong>.Empty);

    /// <summary>Ids with an earlier time are refused, unix ms.</summary>
    public long FloorMs { get; }

    /// <summary>Number of results.</summary>
    public int Count => _byIndex.Count;

    /// <summary>All results in log order.</summary>
    public IEnumerable<RequestRecord> Records => _byIndex.Values;

    /// <summary>The first command of an id and its result, or null.</summary>
    public RequestRecord? Find(Guid id) => _byId.TryGetValue(id, out var index) ? _byIndex[index] : null;

    /// <summary>Rebuilds a table from a snapshot.</summary>
    public static RequestTable Restore(long floorMs, IEnumerable<RequestRecord> records)
    {
        var byIndex = ImmutableSortedDictionary.CreateBuilder<ulong, RequestRecord>();
        var byId = ImmutableSortedDictionary.CreateBuilder<Guid, ulong>();
        foreach (var record in records)
        {
            byIndex.Add(record.Result.Index, record);
            byId.Add(record.Id, record.Result.Index);
        }

        return new RequestTable(floorMs, byIndex.ToImmutable(), byId.ToImmutable());
    }

    /// <summary>The table with one more result; its index must be the highest so far.</summary>
    public RequestTable Add(RequestRecord record) => new(
        FloorMs, _byIndex.Add(record.Result.Index, record), _byId.Add(record.Id, record.Result.Index));

    /// <summary>The table without what is too old or too much at a log time.</summary>
    public RequestTable Expire(long logTimeMs)
    {
        var table = this;
        while (table.Count > 0)
        {
            var oldest = table._byIndex.First().Value;
            if (table.Count <= MaxCount && oldest.AtMs >= logTimeMs - WindowMs) break;
            table = new RequestTable(
                Math.Max(table.FloorMs, RequestId.TimeMs(oldest.Id) + 1),
                table._byIndex.Remove(oldest.Result.Index),
                table._byId.Remove(oldest.Id));
        }

        var floor = Math.Max(table.FloorMs, logTimeMs - WindowMs);
        return floor == table.FloorMs ? table : new RequestTable(floor, table._byIndex, table._byId);
    }
}

/// <summary>The first result of a request.</summary>
/// <param name="Id">Request id.</param>
/// <param name="AtMs">Log time at which it was applied, unix ms.</param>
/// <param name="Result">What its proposer was told; its index is unique.</param>
/// <param name="Digest">Of what was asked (<see cref="RequestDigest"/>): the id stands for that alone. Null for the cluster's own.</param>
public sealed record RequestRecord(Guid Id, long AtMs, CommandResult Result, string? Digest = null);

/// <summary>What a UUIDv7 (RFC 9562 §5.7) tells.</summary>
public static class RequestId
{
    /// <summary>True for version 7, variant 10.</summary>
    public static bool IsVersion7(Guid id) => id.Version == 7 && (id.Variant & 0b1100) == 0b1000;

    /// <summary>The unix milliseconds in it.</summary>
    public static long TimeMs(Guid id)
    {
        Span<byte> bytes = stackalloc byte[16];
        id.TryWriteBytes(bytes, bigEndian: true, out _);
        long time = 0;
        for (var i = 0; i < 6; i++) time = (time << 8) | bytes[i];
        return time;
    }
}
