using RaftMirror.Consensus.Model;
using RaftMirror.Consensus.Snapshots;
using RaftMirror.Primitives;

namespace RaftMirror.Consensus.Tests.Snapshots;

public sealed class SnapshotReceiverTests
{
    private static readonly NodeId A = new(1);
    private static readonly NodeId B = new(2);
    private readonly Rig _rig = new();

    [Fact]
    public void Receive_OneSource_EndsWithItsBytes()
    {
        Assert.Equal(OfferVerdict.Started, _rig.Offer(A));
        Assert.Equal(OfferVerdict.Ignored, _rig.Offer(A));
        _rig.Run();
        _rig.AssertReceived();
        Assert.Null(_rig.Receiver.Progress.Offer);
    }

    [Fact]
    public void Receive_SourceDiesMidway_GoesOnFromAnotherWhereItStopped()
    {
        _rig.Offer(A);
        Assert.Equal(OfferVerdict.Joined, _rig.Offer(B));
        _rig.Answer = (node, request, number) => node == A && number >= 3 ? null : _rig.Serve(request);
        _rig.Run();
        _rig.AssertReceived();
        Assert.Contains(_rig.Requests, request => request.Node == B && request.Request.Offset == 3 * Rig.ChunkBytes);
        Assert.Equal(1, _rig.Begins);
    }

    [Fact]
    public void Receive_SourceHasItNoMore_AsksTheOtherAtOnce()
    {
        _rig.Offer(A);
        _rig.Offer(B);
        _rig.Answer = (node, request, _) => node == A ? ChunkAnswer.Failed(ChunkStatus.Gone) : _rig.Serve(request);
        _rig.Run();
        _rig.AssertReceived();
        Assert.Single(_rig.Requests, request => request.Node == A);
        Assert.Equal(0, _rig.NowMs);
    }

    [Fact]
    public void Receive_SourceNeverAnswers_IsAskedABoundedNumberOfTimes()
    {
        _rig.Offer(A);
        _rig.Answer = (_, _, _) => null;
        _rig.Run();
        Assert.Equal(new SnapshotReceiverOptions().MaxFailures, _rig.Requests.Count);
        Assert.Contains("did not answer in time", _rig.Receiver.Progress.LastError, StringComparison.Ordinal);
        Assert.Equal(OfferVerdict.Ignored, _rig.Offer(A)); // Left out for a while,
        _rig.NowMs += new SnapshotReceiverOptions().PenaltyMs;
        Assert.Equal(OfferVerdict.Joined, _rig.Offer(A)); // and then heard again.
        _rig.Answer = (_, request, _) => _rig.Serve(request);
        _rig.Run();
        _rig.AssertReceived();
    }

    [Fact]
    public void Receive_HostileAnswers_AreNeverAppended()
    {
        _rig.Offer(A);
        _rig.Offer(B);
        var hostile = new Func<ChunkAnswer, ChunkAnswer>[]
        {
            good => good with { Offset = good.Offset + 1 },
            good => good with { Bytes = new byte[Rig.ChunkBytes + 1] },
            good => good with { Bytes = default, Crc = 0 },
            good => good with { Crc = good.Crc + 1 },
            good => good with { Snapshot = good.Snapshot with { Crc = 1 } },
        };
        var asked = 0;
        _rig.Answer = (node, request, _) => node == A ? hostile[Math.Min(asked++, 4)](_rig.Serve(request)) : _rig.Serve(request);
        _rig.Run();
        _rig.AssertReceived();
    }

    [Fact]
    public void Offered_NewerMidway_SwitchesAndIgnoresTheOldAnswer()
    {
        _rig.Offer(A);
        _rig.StopAfterRequests = 3;
        _rig.Run();
        Assert.Equal(OfferVerdict.Ignored, _rig.Receiver.Offered(B, _rig.Current with { Last = new(3, 4) }, 0));
        Assert.Equal(OfferVerdict.Conflicting, _rig.Receiver.Offered(B, _rig.Current with { Crc = 1 }, 0));
        var stale = _rig.LastStep!;
        var old = _rig.Current;
        _rig.UseNewer();
        Assert.Equal(OfferVerdict.Started, _rig.Offer(B));
        _rig.Receiver.Answered(stale.Ticket, new ChunkAnswer(ChunkStatus.Chunk, old, stale.Request.Offset, new byte[] { 1 }, Crc32C.Compute([1])), 0);
        _rig.StopAfterRequests = int.MaxValue;
        _rig.Run();
        _rig.AssertReceived();
        Assert.Equal(2, _rig.Begins);
    }

    [Fact] // Chunk checksums are the source's own: a source whose memory or disk lies is found out only at the end.
    public void Receive_OneOfTwoSourcesLies_FindsOutWhichAndEndsWithTheRightBytes()
    {
        _rig.Offer(A);
        _rig.Offer(B);
        _rig.Answer = (node, request, number) =>
        {
            var good = _rig.Serve(request);
            if (node == B) return number == 1 ? null : good;
            if (number == 3) return null; // The liar fails once, so that both have a part in the first whole.
            var bytes = good.Bytes.ToArray();
            bytes[0] ^= 1;
            return good with { Bytes = bytes, Crc = Crc32C.Compute(bytes) };
        };
        _rig.Run();
        _rig.AssertReceived();
        Assert.True(_rig.Refusals is 1 or 2, $"{_rig.Refusals} wholes were wrong.");
    }

    [Fact]
    public void Receive_OnlyALiar_StopsAskingIt()
    {
        _rig.Offer(A);
        _rig.Answer = (_, request, _) =>
        {
            var bytes = _rig.Serve(request).Bytes.ToArray();
            bytes[^1] ^= 1;
            return _rig.Serve(request) with { Bytes = bytes, Crc = Crc32C.Compute(bytes) };
        };
        _rig.Run();
        Assert.Equal(1, _rig.Refusals);
        Assert.Contains("discarded", _rig.Receiver.Progress.LastError, StringComparison.Ordinal);
    }

    [Fact]
    public void Receive_OwnStorageFails_WaitsForTheNextOffer()
    {
        _rig.Offer(A);
        _rig.Target.FailNextSync = true;
        _rig.Run();
        Assert.Contains("flush failed", _rig.Receiver.Progress.LastError, StringComparison.Ordinal);
        Assert.Null(_rig.Receiver.Progress.Offer);
        Assert.Equal(OfferVerdict.Started, _rig.Offer(A));
        _rig.Run();
        _rig.AssertReceived();
    }

    [Fact]
    public void Offered_Nonsense_IsIgnored()
    {
        Assert.Equal(OfferVerdict.Ignored, _rig.Receiver.Offered(A, default, 0));
        Assert.Equal(OfferVerdict.Ignored, _rig.Receiver.Offered(A, _rig.Current with { LengthBytes = -1 }, 0));
        Assert.Equal(ReceiverStepKind.Idle, _rig.Receiver.Next(0).Kind);
    }

    [Theory] // Lost, late, damaged and refused answers and restarts of this node, drawn; then a time without faults.
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    public void Receive_DrawnFaults_EndsWithTheSameBytes(ulong seed)
    {
        var random = new Xoshiro(seed);
        for (var round = 0; round < 60; round++)
        {
            var rig = new Rig();
            var faults = random.Next(60);
            rig.Answer = (_, request, _) => faults-- <= 0 ? rig.Serve(request) : random.Next(6) switch
            {
                0 => null,
                1 => ChunkAnswer.Failed((ChunkStatus)random.Next(1, 4)),
                2 => rig.Serve(request) with { Crc = 1 },
                3 => rig.Serve(request with { LengthBytes = 1 + random.Next(request.LengthBytes) }),
                _ => rig.Serve(request),
            };
            for (var turn = 0; turn < 100 && !rig.IsReceived; turn++)
            {
                rig.Offer(new NodeId((ushort)random.Next(1, 4)));
                rig.StopAfterRequests = rig.Requests.Count + random.Next(1, 20);
                rig.Run();
                if (random.Chance(0.3)) rig.Restart();
                rig.NowMs += random.Next(8_000);
            }

            rig.AssertReceived();
        }
    }

    /// <summary>A shell without threads: it does at once what the core says.</summary>
    private sealed class Rig
    {
        public const int ChunkBytes = 1000;
        private readonly MemorySnapshotStorage _storage = new();
        private readonly SnapshotStore _source;
        private readonly Dictionary<NodeId, int> _asked = [];
        private SnapshotStore _store;
        private IncomingSnapshot? _incoming;

        public Rig()
        {
            _source = new SnapshotStore(_storage, Samples.Cluster);
            Current = SnapshotOffer.Of(_source.Write(50, Samples.Content(20_000)));
            _store = new SnapshotStore(Target, Samples.Cluster);
            Answer = (_, request, _) => Serve(request);
        }

        public SnapshotReceiver Receiver { get; private set; } = Make();

        public MemorySnapshotStorage Target { get; } = new();

        public SnapshotOffer Current { get; private set; }

        /// <summary>(node, request, how many requests it had before): the answer, or null for none.</summary>
        public Func<NodeId, ChunkRequest, int, ChunkAnswer?> Answer { get; set; }

        public List<(NodeId Node, ChunkRequest Request)> Requests { get; } = [];

        public int StopAfterRequests { get; set; } = int.MaxValue;

        public ReceiverStep? LastStep { get; private set; }

        public int Begins { get; private set; }

        public int Refusals { get; private set; }

        public long NowMs { get; set; }

        public bool IsReceived => _store.List().Contains(Current.Last);

        public OfferVerdict Offer(NodeId from) => Receiver.Offered(from, Current, NowMs);

        public ChunkAnswer Serve(ChunkRequest request) => _source.ReadChunk(request.Last, request.Offset, request.LengthBytes);

        public void UseNewer() => Current = SnapshotOffer.Of(_source.Write(60, Samples.Content(9_000, 2)));

        public void Restart()
        {
            _incoming?.Dispose();
            _incoming = null;
            _store = new SnapshotStore(Target, Samples.Cluster);
            Receiver = Make();
        }

        public void AssertReceived()
        {
            using var reader = _store.OpenVerified(Current.Last);
            Assert.Equal(_storage.Bytes(SnapshotName.Of(Current.Last)), Target.Bytes(SnapshotName.Of(Current.Last)));
        }

        public void Run()
        {
            for (var steps = 0; Requests.Count < StopAfterRequests; steps++)
            {
                Assert.True(steps < 10_000, "It never comes to an end.");
                var step = LastStep = Receiver.Next(NowMs);
                if (step.Kind == ReceiverStepKind.Idle || (step.Kind == ReceiverStepKind.Wait && step.WakeMs == long.MaxValue)) return;
                try
                {
                    Do(step);
                }
                catch (IOException failed)
                {
                    Receiver.StoreFailed(step.Ticket, failed.Message);
                }
            }
        }

        private void Do(ReceiverStep step)
        {
            switch (step.Kind)
            {
                case ReceiverStepKind.Wait:
                    Assert.True(step.WakeMs > NowMs, "A wait has an end that is to come.");
                    NowMs = step.WakeMs;
                    break;
                case ReceiverStepKind.Begin:
                    Begins++;
                    if (step.StartsOver) _incoming?.Discard();
                    else _incoming?.Dispose();
                    _incoming = _store.BeginReceive(step.Offer);
                    Receiver.Began(step.Ticket, _incoming.ReceivedBytes);
                    break;
                case ReceiverStepKind.Request:
                    Requests.Add((step.Source, step.Request));
                    var before = _asked.GetValueOrDefault(step.Source);
                    _asked[step.Source] = before + 1;
                    if (Requests.Count >= StopAfterRequests) break;
                    if (Answer(step.Source, step.Request, before) is { } answer) Receiver.Answered(step.Ticket, answer, NowMs);
                    break;
                case ReceiverStepKind.Append:
                    var refusal = _incoming!.AppendChunk(step.Chunk!.Offset, step.Chunk.Bytes.Span, step.Chunk.Crc);
                    Receiver.Appended(step.Ticket, _incoming.ReceivedBytes, refusal, NowMs);
                    break;
                case ReceiverStepKind.Commit:
                    try
                    {
                        _incoming!.Commit();
                        Receiver.Committed(step.Ticket);
                    }
                    catch (InvalidDataException wrong)
                    {
                        Refusals++;
                        Receiver.CommitRefused(step.Ticket, wrong.Message, NowMs);
                    }

                    break;
                default:
                    Assert.Fail($"{step.Kind} is handled before.");
                    break;
            }
        }

        private static SnapshotReceiver Make() => new(new SnapshotReceiverOptions { ChunkBytes = ChunkBytes });
    }
}
