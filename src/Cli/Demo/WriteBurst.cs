using System.Buffers.Binary;
using System.Diagnostics;
using RaftMirror.Primitives;

namespace RaftMirror.Cli.Demo;

/// <summary>A client that writes blocks at random places until it is stopped, and knows for each place what may stand there: the
/// last acknowledged content, or anything that was sent after it. A lost connection is taken up again, at the given nodes
/// in turn, as NBD clients do; the write that was under way is repeated.</summary>
internal sealed class WriteBurst(Func<IReadOnlyList<DemoNode>> nodes, string export, long startBytes, long lengthBytes, ulong seed)
{
    public const int BlockBytes = 64 << 10;

    private readonly Dictionary<long, (ulong Acknowledged, ulong Sent)> _stamps = [];
    private readonly Xoshiro _random = new(seed);
    private ulong _stamp;

    private TaskCompletionSource _next = new(TaskCreationOptions.RunContinuationsAsynchronously);

    public long Acknowledged { get; private set; }

    /// <summary>Ends with the next acknowledgement.</summary>
    public Task NextAcknowledgement => Volatile.Read(ref _next).Task;

    public int Reconnects { get; private set; }

    /// <summary>Requests that got an error reply: a client would pass each on as an I/O error.</summary>
    public int ErrorReplies { get; private set; }

    /// <summary>Longest time between two acknowledgements.</summary>
    public TimeSpan LongestPause { get; private set; }

    public int Places => _stamps.Count;

    public async Task RunAsync(CancellationToken stop, CancellationToken cancellationToken)
    {
        var buffer = new byte[BlockBytes];
        var clock = Stopwatch.StartNew();
        var last = clock.Elapsed;
        NbdClient? client = null;
        var turn = 0;
        try
        {
            while (!stop.IsCancellationRequested)
            {
                var offset = startBytes + (_random.NextInt64(lengthBytes / BlockBytes) * BlockBytes);
                var stamp = ++_stamp;
                Fill(buffer, offset, stamp, seed);
                var isDone = false;
                while (!isDone && !stop.IsCancellationRequested)
                {
                    try
                    {
                        client ??= await ConnectAsync(turn, cancellationToken);
                        var before = _stamps.GetValueOrDefault(offset);
                        _stamps[offset] = (before.Acknowledged, stamp);
                        using var limit = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
                        limit.CancelAfter(TimeSpan.FromSeconds(30));
                        await client.WriteAsync(offset, buffer, limit.Token);
                        _stamps[offset] = (stamp, stamp);
                        isDone = true;
                    }
                    catch (NbdErrorException)
                    {
                        ErrorReplies++;
                        isDone = true; // It may or may not have been written; the stamps say so.
                    }
                    catch (Exception failure) when (failure is IOException or OperationCanceledException && !cancellationToken.IsCancellationRequested)
                    {
                        if (client is not null)
                        {
                            Reconnects++;
                            await client.DisposeAsync();
                            client = null;
                        }

                        turn++;
                        await Task.Delay(50, cancellationToken); // A refused connection comes back at once: not a busy loop.
                    }
                }

                if (!isDone) break;
                Acknowledged++;
                if (clock.Elapsed - last > LongestPause) LongestPause = clock.Elapsed - last;
                last = clock.Elapsed;
                Interlocked.Exchange(ref _next, new(TaskCreationOptions.RunContinuationsAsynchronously)).SetResult();
            }
        }
        finally
        {
            if (client is not null) await client.DisposeAsync();
        }
    }

    /// <summary>Reads every place back through a node.</summary>
    /// <returns>Places whose content is neither the last acknowledged nor something sent after it.</returns>
    public async Task<int> VerifyAsync(DemoNode node, CancellationToken cancellationToken)
    {
        await using var client = await NbdClient.ConnectAsync(node.Nbd, export, cancellationToken);
        var buffer = new byte[BlockBytes];
        var expected = new byte[BlockBytes];
        var wrong = 0;
        foreach (var (offset, stamps) in _stamps)
        {
            await client.ReadAsync(offset, buffer, cancellationToken);
            if (stamps.Acknowledged == 0) continue; // Never acknowledged: what was there before may still be there.
            var found = BinaryPrimitives.ReadUInt64LittleEndian(buffer.AsSpan(8));
            if (found < stamps.Acknowledged || found > stamps.Sent)
            {
                wrong++;
                continue;
            }

            Fill(expected, offset, found, seed);
            if (!buffer.AsSpan().SequenceEqual(expected)) wrong++;
        }

        return wrong;
    }

    /// <summary>Content that names its place and stamp in every word, so that a misplaced or torn block shows.</summary>
    internal static void Fill(Span<byte> buffer, long offset, ulong stamp, ulong seed)
    {
        for (var i = 0; i < buffer.Length; i += 16)
        {
            BinaryPrimitives.WriteUInt64LittleEndian(buffer[i..], (ulong)(offset + i) ^ seed);
            BinaryPrimitives.WriteUInt64LittleEndian(buffer[(i + 8)..], stamp);
        }
    }

    private async Task<NbdClient> ConnectAsync(int turn, CancellationToken cancellationToken)
    {
        var list = nodes();
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        limit.CancelAfter(TimeSpan.FromSeconds(5));
        return await NbdClient.ConnectAsync(list[turn % list.Count].Nbd, export, limit.Token);
    }
}
