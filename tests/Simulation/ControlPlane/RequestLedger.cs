using System.Text.Json;
using RaftMirror.ControlPlane.Commands;
using RaftMirror.ControlPlane.Model;
using RaftMirror.ControlPlane.Snapshots;
using RaftMirror.Primitives;
using RaftMirror.Simulation.Harness;

namespace RaftMirror.Simulation.ControlPlane;

/// <summary>The clients' side of exactly once (I-ONCE): which ids were used, what became of each, what was told about it.</summary>
internal sealed class RequestLedger
{
    private static readonly HashSet<string> NotRemembered = new(StringComparer.Ordinal) { "badRequestId", "tooOld", "clockAhead" };

    /// <summary>Whose requests are clients'; all others are the cluster's own.</summary>
    public const string Operator = "operator";

    private readonly List<Request> _all = [];
    private readonly Dictionary<Guid, Request> _byId = [];

    /// <summary>Entries of the log that repeated an id.</summary>
    public int Repeats { get; private set; }

    /// <summary>Repeats that were refused since the window of results had passed.</summary>
    public int TooOld { get; private set; }

    /// <summary>Other commands under a used id: refused.</summary>
    public int Reused { get; private set; }

    public int Count => _all.Count;

    /// <summary>A client's mistake: a command under the id of another one. Whichever is executed first has the id.</summary>
    public static Request Reuse(Request used, CommandBody body, string by) => new(used.Id, body, by, used.IsTimely);

    /// <summary>Makes a request. The id is a UUIDv7 of the given time.</summary>
    /// <param name="body">Command.</param>
    /// <param name="by">Who asks.</param>
    /// <param name="timeMs">Time in the id.</param>
    /// <param name="isTimely">It must not be refused for its time.</param>
    /// <param name="random">For the rest of the id.</param>
    public Request Make(CommandBody body, string by, long timeMs, bool isTimely, Xoshiro random)
    {
        Span<byte> bytes = stackalloc byte[16];
        for (var i = 0; i < 6; i++) bytes[i] = (byte)(timeMs >> (40 - (8 * i)));
        for (var i = 6; i < 16; i++) bytes[i] = (byte)random.Next(256);
        bytes[6] = (byte)(0x70 | (bytes[6] & 0x0F));
        bytes[8] = (byte)(0x80 | (bytes[8] & 0x3F));
        var request = new Request(new Guid(bytes, bigEndian: true), body, by, isTimely);
        _all.Add(request);
        _byId.Add(request.Id, request);
        return request;
    }

    /// <summary>An earlier request to send again: with luck one whose outcome its client does not know, else any. Null if there is none.</summary>
    public Request? Repeat(Xoshiro random)
    {
        if (_all.Count == 0) return null;
        for (var tries = 0; tries < 20; tries++)
        {
            // Mostly young ones: those are what clients and duties repeat.
            var request = _all[random.Chance(0.7) ? _all.Count - 1 - random.Next(Math.Min(_all.Count, 30)) : random.Next(_all.Count)];
            if (request.Acknowledged is null || tries > 10) return request;
        }

        return null;
    }

    /// <summary>An entry was applied for the first time anywhere.</summary>
    public void Applied(CommandEnvelope envelope, ulong index, byte[] bytes, ClusterState after, bool hasEvents)
    {
        ClusterChecker.Require(_byId.TryGetValue(envelope.Id, out var request), $"entry {index} has request id {envelope.Id}, which no client made");
        var result = CommandCodec.DecodeResult(bytes);
        if (NotRemembered.Contains(result.Code))
        {
            ClusterChecker.Require(!request!.IsTimely, $"I-CLOCK: {envelope.Body.GetType().Name} {envelope.Id} was made at the right time and refused as {result.Code}");
            ClusterChecker.Require(!hasEvents, $"I-ONCE: {envelope.Id} was refused as {result.Code} and had an effect");
            if (result.Code != "tooOld") return;
            TooOld++;
            ClusterChecker.Require(
                RequestId.TimeMs(envelope.Id) < after.Requests.FloorMs(after.LogTimeMs), $"I-ONCE: {envelope.Id} was refused as too old, but the window is not past it");
            return;
        }

        if (request!.First is not null && request.FirstDigest != envelope.Digest)
        {
            Reused++;
            CheckReused(request, envelope, result);
            ClusterChecker.Require(!hasEvents, $"I-ONCE: {envelope.Id} of {request.FirstIndex} had an effect again at {index}, as another command");
            return;
        }

        if (request.First is null)
        {
            request.First = bytes;
            request.FirstDigest = envelope.Digest;
            request.FirstIndex = index;
            ClusterChecker.Require(result.Index == index, $"the result of {index} says that it is of {result.Index}");
            return;
        }

        Repeats++;
        ClusterChecker.Require(!hasEvents, $"I-ONCE: {envelope.Body.GetType().Name} {envelope.Id} of {request.FirstIndex} had an effect again at {index}");
        ClusterChecker.Require(
            request.First.AsSpan().SequenceEqual(bytes), $"I-ONCE: the repeat at {index} of {envelope.Id} has another result than {request.FirstIndex}");
    }

    /// <summary>A client was told a result.</summary>
    public void Acknowledged(CommandEnvelope envelope, byte[] bytes)
    {
        var id = envelope.Id;
        var result = CommandCodec.DecodeResult(bytes);
        if (NotRemembered.Contains(result.Code)) return;
        var request = _byId[id];
        if (request.FirstDigest != envelope.Digest)
        {
            CheckReused(request, envelope, result);
            return;
        }

        ClusterChecker.Require(
            request.First is { } first && first.AsSpan().SequenceEqual(bytes), $"I-ONCE: the client of {id} was told another result than the first");
        request.Acknowledged = bytes;
    }

    /// <summary>Nothing that a client was told is missing from a state.</summary>
    public void CheckEnd(ClusterState state)
    {
        foreach (var request in _all)
        {
            if (request.Acknowledged is not { } told || RequestId.TimeMs(request.Id) < state.Requests.FloorMs(state.LogTimeMs)) continue;
            ClusterChecker.Require(
                state.Requests.Find(request.Id) is { } kept && CommandCodec.EncodeResult(kept.Result).AsSpan().SequenceEqual(told),
                $"acknowledged {request.Body.GetType().Name} {request.Id} at {request.FirstIndex} is lost");
        }
    }

    private static void CheckReused(Request request, CommandEnvelope envelope, CommandResult result) => ClusterChecker.Require(
        result.Code == RequestRules.Reused,
        $"I-ONCE: {envelope.Body.GetType().Name} {envelope.Id} got '{result.Code}', the result of another command at {request.FirstIndex}");

    /// <summary>One request of one client.</summary>
    internal sealed class Request(Guid id, CommandBody body, string by, bool isTimely)
    {
        public bool IsTimely => isTimely;

        public Guid Id => id;

        public CommandBody Body => body;

        public string By => by;

        public string? Digest { get; } = by == Operator ? RequestDigest.Of(body.GetType().Name, JsonOf(body)) : null;

        public byte[]? First { get; set; }

        /// <summary>Of the command that was executed under this id.</summary>
        public string? FirstDigest { get; set; }

        public ulong FirstIndex { get; set; }

        public byte[]? Acknowledged { get; set; }

        private static JsonElement JsonOf(CommandBody body)
        {
            using var document = JsonDocument.Parse(CommandCodec.Encode(new CommandEnvelope(Guid.Empty, 0, "", null, body)));
            return document.RootElement.GetProperty("body").Clone();
        }
    }
}
