using System.Buffers.Binary;
using System.Net.Security;
using System.Net.Sockets;
using System.Security.Authentication;
using System.Security.Cryptography;
using Microsoft.Extensions.Logging;
using RaftMirror.Consensus.Model;

namespace RaftMirror.Consensus.Transport;

/// <summary>What a listener knows of a connection that it has accepted.</summary>
/// <param name="Remote">For the log.</param>
/// <param name="Order">Its place among the accepted ones, from 1.</param>
/// <param name="HasThread">Whether it is served by a thread of its own, from the first byte on.</param>
internal readonly record struct Arrival(string Remote, long Order, bool HasThread);

/// <summary>
/// Opens connections and lets them in. Dialler: hello; listener: reply with a challenge; dialler: the challenge, then frames.
/// Nothing that was recorded counts: the listener remembers nothing of a dialler that has not repeated its challenge, and the
/// dialler nothing of a listener that has not repeated its nonce. Who a peer is is proven by its certificate; without TLS
/// any process of this host can claim to be a member. Any thread.
/// </summary>
internal sealed class Handshaker(PeerDirectory directory, PeerTls? tls, TransportLimits limits, ILogger logger)
{
    /// <summary>Connects to a peer and shakes hands.</summary>
    /// <exception cref="HandshakeRefusedException">One side refused.</exception>
    /// <exception cref="IOException">Not reached; the message says why.</exception>
    public async Task<PeerConnection> DialAsync(NodeId peer, Lane lane, CancellationToken cancellationToken)
    {
        var endpoint = directory.AddressOf(peer) ?? throw new IOException($"node {peer} has no known address");
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        limit.CancelAfter(limits.HandshakeTimeout);
        var socket = new Socket(endpoint.AddressFamily, SocketType.Stream, ProtocolType.Tcp);
        try
        {
            await socket.ConnectAsync(endpoint, limit.Token);
            PeerConnection.Prepare(socket, limits);
            Stream stream = new PeerStream(socket);
            if (tls is not null) stream = await tls.AsDiallerAsync(stream, peer, limit.Token);
            return await DialAsync(socket, stream, peer, lane, limit.Token);
        }
        catch (Exception error)
        {
            socket.Dispose();
            if (error is SocketException or AuthenticationException) throw new IOException($"node {peer} at {endpoint}: {error.Message}", error);
            if (error is OperationCanceledException && !cancellationToken.IsCancellationRequested)
                throw new IOException($"node {peer} at {endpoint} did not answer within {limits.HandshakeTimeout.TotalSeconds:0.#} s", error);
            throw;
        }
    }

    /// <summary>Shakes hands with whoever dialled. Does not end the socket when it fails.</summary>
    /// <param name="socket">Accepted, and not used yet.</param>
    /// <param name="arrival">What the listener knows of it.</param>
    /// <param name="cancellationToken">Ends it, unless it blocks: then hang up.</param>
    /// <returns>The connection and its hello, the address included.</returns>
    /// <exception cref="HandshakeRefusedException">Refused, and said so.</exception>
    /// <exception cref="IOException">It went away, took too long, or is no peer at all.</exception>
    public async Task<(PeerConnection Connection, Hello Hello)> AcceptAsync(Socket socket, Arrival arrival, CancellationToken cancellationToken)
    {
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        limit.CancelAfter(limits.HandshakeTimeout);
        var bytes = new PeerStream(socket) { IsBlocking = arrival.HasThread };
        try
        {
            PeerConnection.Prepare(socket, limits);
            bytes.DeadlineMs = Environment.TickCount64 + (long)limits.HandshakeTimeout.TotalMilliseconds;
            var stream = tls is null ? (Stream)bytes : await tls.AsListenerAsync(bytes, limit.Token);
            var accepted = await AcceptAsync(socket, stream, arrival, limit.Token);
            bytes.DeadlineMs = null;
            bytes.IsBlocking = false;
            return accepted;
        }
        catch (AuthenticationException error)
        {
            TransportLogMessages.NotAuthenticated(logger, arrival.Remote, error.Message);
            throw new IOException(error.Message, error);
        }
        catch (OperationCanceledException error) when (!cancellationToken.IsCancellationRequested)
        {
            throw new IOException($"no handshake within {limits.HandshakeTimeout.TotalSeconds:0.#} s", error);
        }
    }

    private static ulong Random()
    {
        Span<byte> bytes = stackalloc byte[8];
        RandomNumberGenerator.Fill(bytes);
        return BinaryPrimitives.ReadUInt64LittleEndian(bytes);
    }

    private async Task<PeerConnection> DialAsync(Socket socket, Stream stream, NodeId peer, Lane lane, CancellationToken cancellationToken)
    {
        var hello = new Hello(
            directory.Versions, lane, directory.ClusterId, directory.Self, peer, directory.Incarnation, directory.Features, Random())
        {
            Address = directory.Advertised,
        };
        await stream.WriteAsync(hello.Encode(), cancellationToken);
        var buffer = new byte[Hello.Bytes];
        await stream.ReadExactlyAsync(buffer, cancellationToken);
        var reply = HelloReply.Decode(buffer) ?? throw new ProtocolException("the answer to the handshake is damaged");
        if (reply.Status == HandshakeStatus.VersionMismatch) throw Mismatch(reply.Versions);
        if (reply.Status != HandshakeStatus.Accepted)
        {
            throw new HandshakeRefusedException(reply.Status, $"said by node {peer}")
            {
                LaterIncarnation = reply.Status == HandshakeStatus.StaleIncarnation && reply.Nonce == hello.Nonce ? reply.Challenge : 0,
            };
        }

        if (directory.Versions.CommonWith(reply.Versions) is not { } version) throw Mismatch(reply.Versions);
        if (reply.Nonce != hello.Nonce) throw new ProtocolException("the answer to the handshake belongs to another one");
        if (reply.ClusterId != directory.ClusterId) throw new HandshakeRefusedException(HandshakeStatus.WrongCluster, "said by us");
        if (reply.Node != peer) throw new HandshakeRefusedException(HandshakeStatus.WrongNode, $"node {reply.Node} answers there");
        if (!directory.Admit(peer, reply.Incarnation, reply.Features))
            throw new HandshakeRefusedException(HandshakeStatus.StaleIncarnation, "said by us");
        ChallengeAnswer.Encode(reply.Challenge, buffer);
        await stream.WriteAsync(buffer.AsMemory(0, ChallengeAnswer.Bytes), cancellationToken);
        return new PeerConnection(socket, stream, limits, peer, lane, reply.Incarnation, version);
    }

    private async Task<(PeerConnection Connection, Hello Hello)> AcceptAsync(
        Socket socket, Stream stream, Arrival arrival, CancellationToken cancellationToken)
    {
        var buffer = new byte[Hello.Bytes];
        await stream.ReadExactlyAsync(buffer, cancellationToken);
        var decoded = Hello.Decode(buffer, out var tailBytes);
        var hello = decoded ?? default;
        var version = directory.Versions.CommonWith(hello.Versions);
        var status = decoded is null ? HandshakeStatus.Malformed
            : version is null ? HandshakeStatus.VersionMismatch
            : HandshakeStatus.Accepted;
        if (status == HandshakeStatus.Accepted)
        {
            var tail = new byte[tailBytes];
            await stream.ReadExactlyAsync(tail, cancellationToken);
            var address = Hello.DecodeAddress(tail);
            hello = hello with { Address = address ?? string.Empty };
            status = address is null ? HandshakeStatus.Malformed : Judge(hello, stream);
        }

        var reply = new HelloReply(
            status, directory.Versions, directory.ClusterId, directory.Self, directory.Incarnation, directory.Features, hello.Nonce,
            status == HandshakeStatus.StaleIncarnation ? directory.NewestLifeOf(hello.From) : Random());
        reply.Encode(buffer);
        await stream.WriteAsync(buffer, cancellationToken);
        if (status != HandshakeStatus.Accepted)
        {
            var detail = status == HandshakeStatus.VersionMismatch
                ? $"it speaks {hello.Versions}, this node {directory.Versions}" : string.Empty;
            TransportLogMessages.Refused(logger, arrival.Remote, hello.From, status, detail);
            await LingerAsync(socket, stream, cancellationToken);
            throw new HandshakeRefusedException(status, detail);
        }

        await stream.ReadExactlyAsync(buffer.AsMemory(0, ChallengeAnswer.Bytes), cancellationToken);
        if (!ChallengeAnswer.IsAnswerTo(reply.Challenge, buffer)) throw new ProtocolException("the challenge was not repeated: a recording?");
        if (!directory.Admit(hello.From, hello.Incarnation, hello.Features)) throw new HandshakeRefusedException(HandshakeStatus.StaleIncarnation);
        if (hello.Lane == Lane.Raft) PeerConnection.BoundReceiving(socket);
        return (new PeerConnection(socket, stream, limits, hello.From, hello.Lane, hello.Incarnation, version!.Value) { Order = arrival.Order }, hello);
    }

    /// <summary>Closing with unread bytes would reset the connection and could take the reply from the peer.</summary>
    private static async Task LingerAsync(Socket socket, Stream stream, CancellationToken cancellationToken)
    {
        if (stream is not SslStream) socket.Shutdown(SocketShutdown.Send);
        var rest = new byte[1024];
        for (var total = 0; total < rest.Length;)
        {
            var count = await stream.ReadAsync(rest, cancellationToken);
            if (count == 0) return;
            total += count;
        }
    }

    private HandshakeStatus Judge(in Hello hello, Stream stream)
    {
        var status = directory.Judge(hello);
        if (status is not (HandshakeStatus.Accepted or HandshakeStatus.Removed or HandshakeStatus.StaleIncarnation)) return status;
        return stream is SslStream secured && !PeerTls.Names(secured, hello.From) ? HandshakeStatus.WrongIdentity : status;
    }

    private HandshakeRefusedException Mismatch(VersionRange theirs) =>
        new(HandshakeStatus.VersionMismatch, $"it speaks {theirs}, this node {directory.Versions}");
}
