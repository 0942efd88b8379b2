using System.Collections.Immutable;
using RaftMirror.ControlPlane.Commands;

namespace RaftMirror.ControlPlane.Model;

/// <summary>Results by request id (exactly once, thesis §6.3 for clients without sessions). Immutable.
///
/// A client's result is dropped once it is older than <see cref="WindowMs"/> of log time, or when there are more than <see cref="MaxCount"/>,
/// oldest by log order first; the floor then rises above the time inside the dropped id. An id below the floor is refused, so that an id
/// that is not in the table has never been executed.
///
/// Results of the cluster's own commands stand apart: many of them must not push out a client's, and their ids, which a wrong clock may have
/// made, say nothing about clients. They are never refused for their time: each of them carries what makes a late repeat harmless (an
/// incarnation, an epoch, a generation), and refusing one would leave a dead node unfenced (design §14.23).</summary>
public sealed class RequestTable
{
    /// <summary>How long a client's result is kept, log time.</summary>
    public const long WindowMs = 24L * 60 * 60 * 1000;

    /// <summary>How far a client's id may be ahead of log time: with no such limit, one id of a wrong clock would raise the floor over
    /// everybody's.</summary>
    public const long MaxAheadMs = 5L * 60 * 1000;

    /// <summary>Most results of clients kept.</summary>
    public const int MaxCount = 10_000;

    /// <summary>Most results of the cluster's own commands kept: they are repeated within seconds or not at all.</summary>
    public const int MaxOwnCount = 4096;

    private readonly ImmutableSortedDictionary<ulong, RequestRecord> _clients; // By log index, like the next.
    private readonly ImmutableSortedDictionary<ulong, RequestRecord> _own;
    private readonly ImmutableSortedDictionary<Guid, RequestRecord> _byId;

    private RequestTable(
        long refusedBeforeMs,
        ImmutableSortedDictionary<ulong, RequestRecord> clients,
        ImmutableSortedDictionary<ulong, RequestRecord> own,
        ImmutableSortedDictionary<Guid, RequestRecord> byId)
    {
        RefusedBeforeMs = refusedBeforeMs;
        _clients = clients;
        _own = own;
        _byId = byId;
    }

    /// <summary>No results.</summary>
    public static RequestTable Empty { get; } = Restore(0, []);

    /// <summary>Above the time of each client's id whose result was dropped, and not below a time to which the clock was set back, unix ms.</summary>
    public long RefusedBeforeMs { get; }

    /// <summary>Number of results.</summary>
    public int Count => _byId.Count;

    /// <summary>All results: clients' in log order, then the cluster's own.</summary>
    public IEnumerable<RequestRecord> Records => _clients.Values.Concat(_own.Values);

    /// <summary>Clients' ids with an earlier time are refused at a log time, unix ms.</summary>
    public long FloorMs(long logTimeMs) => Math.Max(RefusedBeforeMs, logTimeMs - WindowMs);

    /// <summary>Clients' ids with a later time are refused at a log time, unix ms. Never below the floor: there are always ids that are taken.</summary>
    public long CeilingMs(long logTimeMs) => Math.Max(logTimeMs, RefusedBeforeMs) + MaxAheadMs;

    /// <summary>The first command of an id and its result, or null.</summary>
    public RequestRecord? Find(Guid id) => _byId.GetValueOrDefault(id);

    /// <summary>Rebuilds a table from a snapshot.</summary>
    public static RequestTable Restore(long refusedBeforeMs, IEnumerable<RequestRecord> records)
    {
        var clients = ImmutableSortedDictionary.CreateBuilder<ulong, RequestRecord>();
        var own = ImmutableSortedDictionary.CreateBuilder<ulong, RequestRecord>();
        var byId = ImmutableSortedDictionary.CreateBuilder<Guid, RequestRecord>();
        foreach (var record in records)
        {
            (record.IsClients ? clients : own).Add(record.Result.Index, record);
            byId.Add(record.Id, record);
        }

        return new RequestTable(refusedBeforeMs, clients.ToImmutable(), own.ToImmutable(), byId.ToImmutable());
    }

    /// <summary>The table with one more result; its index must be the highest so far.</summary>
    public RequestTable Add(RequestRecord record) => new(
        RefusedBeforeMs,
        record.IsClients ? _clients.Add(record.Result.Index, record) : _clients,
        record.IsClients ? _own : _own.Add(record.Result.Index, record),
        _byId.Add(record.Id, record));

    /// <summary>The table without what is too old or too much at a log time.</summary>
    public RequestTable Expire(long logTimeMs)
    {
        var table = this;
        while (table._clients.Count > 0)
        {
            var oldest = table._clients.First().Value;
            if (table._clients.Count <= MaxCount && oldest.AtMs >= logTimeMs - WindowMs) break;
            table = new RequestTable(
                Math.Max(table.RefusedBeforeMs, RequestId.TimeMs(oldest.Id) + 1),
                table._clients.Remove(oldest.Result.Index),
                table._own,
                table._byId.Remove(oldest.Id));
        }

        while (table._own.Count > MaxOwnCount)
        {
            var oldest = table._own.First().Value;
            table = new RequestTable(
                table.RefusedBeforeMs, table._clients, table._own.Remove(oldest.Result.Index), table._byId.Remove(oldest.Id));
        }

        return table;
    }

    /// <summary>The table after log time was set back. What is remembered stays; what is not, and was made before the new time, may have been
    /// executed and dropped by the wrong clock, so it is refused.</summary>
    public RequestTable SetBack(long toMs) => new(Math.Max(RefusedBeforeMs, toMs), _clients, _own, _byId);
}

/// <summary>The first result of a request.</summary>
/// <param name="Id">Request id.</param>
/// <param name="AtMs">Log time at which it was applied, unix ms.</param>
/// <param name="Result">What its proposer was told; its index is unique.</param>
/// <param name="Digest">Of what was asked (<see cref="RequestDigest"/>): the id stands for that alone. Null for the cluster's own.</param>
public sealed record RequestRecord(Guid Id, long AtMs, CommandResult Result, string? Digest = null)
{
    /// <summary>A client asked for it.</summary>
    public bool IsClients => Digest is not null;
}

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
