using System.Net.Security;
using System.Net.Sockets;
using System.Security.Cryptography.X509Certificates;
using Microsoft.Extensions.Logging.Abstractions;
using RaftMirror.Consensus.Model;
using RaftMirror.Consensus.Tests.Nodes;
using RaftMirror.Consensus.Transport;

namespace RaftMirror.Consensus.Tests.Transport;

public sealed class PeerTlsTests
{
    private static readonly TransportLimits Impatient = new() { HandshakeTimeout = TimeSpan.FromSeconds(2) };

    [Fact]
    public async Task Cluster_WithMutualTls_CommitsAndCalls()
    {
        using var authority = new TestAuthority();
        await using var cluster = await LocalCluster.StartAsync(3, options => options with { Tls = authority.Issue(options.Self) });
        var leader = await cluster.LeaderAsync();
        for (var i = 0; i < 20; i++) await LocalCluster.CommitAsync(cluster.Follower(leader), $"c{i}");
        leader.Handle("echo", (_, request, _) => new(request));
        var large = new byte[7 * 1024 * 1024];
        new Random(1).NextBytes(large);
        var answer = await cluster.Follower(leader).CallAsync(leader.Status.Self, "echo", large, CancellationToken.None);
        Assert.True(answer.Span.SequenceEqual(large));
    }

    [Theory]
    [InlineData("foreign authority", "not trusted")]
    [InlineData("expired", "not trusted")]
    [InlineData("other name", "does not name node-2")]
    [InlineData("no tls", "")]
    public async Task Listener_WithoutAFitCertificate_IsNotBelieved(string fault, string expected)
    {
        using var authority = new TestAuthority();
        using var foreign = new TestAuthority();
        var id = Guid.NewGuid();
        await using var one = new Station(1, id, Impatient, tls: Tls(authority.Issue("node-1"), 1));
        var theirs = fault switch
        {
            "foreign authority" => foreign.Issue("node-2") with { AuthorityPath = authority.AuthorityPath },
            "expired" => authority.Issue("node-2", isExpired: true),
            "other name" => authority.Issue("node-3"),
            _ => null,
        };
        await using var two = new Station(2, id, Impatient, tls: theirs is null ? null : Tls(theirs, fault == "other name" ? (ushort)3 : (ushort)2));
        one.Knows(two);
        var error = await Assert.ThrowsAsync<NotSentException>(
            async () => await one.Transport.CallAsync(two.Id, "x", ReadOnlyMemory<byte>.Empty, CancellationToken.None));
        Assert.Contains(expected, error.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("foreign authority")]
    [InlineData("expired")]
    [InlineData("no certificate")]
    [InlineData("no tls")]
    public async Task Dialler_WithoutAFitCertificate_IsNotLetIn(string fault)
    {
        using var authority = new TestAuthority();
        using var foreign = new TestAuthority();
        var id = Guid.NewGuid();
        await using var one = new Station(1, id, Impatient, tls: Tls(authority.Issue("node-1"), 1));
        using var peer = await RawPeer.ConnectAsync(one.Endpoint);
        var hello = RawPeer.HelloOf(id, new NodeId(2), one.Id, Lane.Raft).Encode();
        if (fault == "no tls")
        {
            await peer.SendAsync([.. hello, .. new byte[200]]);
            await peer.EndAsync();
        }
        else
        {
            var options = fault switch
            {
                "foreign authority" => foreign.Issue("node-2"),
                "expired" => authority.Issue("node-2", isExpired: true),
                _ => null,
            };
            await Assert.ThrowsAnyAsync<Exception>(async () =>
            {
                await using var stream = await SecureAsync(peer, options);
                await stream.WriteAsync(hello);
                await stream.ReadExactlyAsync(new byte[Hello.Bytes]).AsTask().WaitAsync(LocalCluster.Patience);
            });
        }

        Assert.True(one.Directory.IsCurrent(new NodeId(2), 0));
        Assert.Equal(0ul, one.Transport.FeaturesOf(new NodeId(2)));
        Assert.False(one.HasReceived);
    }

    [Fact]
    public async Task Dialler_ClaimingToBeAnotherThanItsCertificateSays_IsRefused()
    {
        using var authority = new TestAuthority();
        var id = Guid.NewGuid();
        await using var one = new Station(1, id, Impatient, tls: Tls(authority.Issue("node-1"), 1));
        using var peer = await RawPeer.ConnectAsync(one.Endpoint);
        await using var stream = await SecureAsync(peer, authority.Issue("node-3"));
        await stream.WriteAsync(RawPeer.HelloOf(id, new NodeId(2), one.Id, Lane.Raft).Encode());
        var reply = new byte[Hello.Bytes];
        await stream.ReadExactlyAsync(reply).AsTask().WaitAsync(LocalCluster.Patience);
        Assert.Equal(HandshakeStatus.WrongIdentity, HelloReply.Decode(reply)!.Value.Status);
    }

    [Fact]
    public async Task Certificate_Changed_IsUsedByTheNextConnectionAndABadOneIsNot()
    {
        using var authority = new TestAuthority();
        var id = Guid.NewGuid();
        await using var one = new Station(1, id, Impatient, tls: Tls(authority.Issue("node-1", "own"), 1));
        var client = authority.Issue("node-2");
        var first = await SerialAsync(one, client);
        var paths = authority.Issue("node-1", "own");
        Age(paths, 1);
        var second = await SerialAsync(one, client);
        Assert.NotEqual(first, second);
        await File.WriteAllTextAsync(paths.CertificatePath, "half-writ");
        Age(paths, 2);
        Assert.Equal(second, await SerialAsync(one, client));
        authority.Issue("node-1", "own");
        Age(paths, 3);
        Assert.NotEqual(second, await SerialAsync(one, client));
    }

    [Theory]
    [InlineData("missing")]
    [InlineData("other name")]
    [InlineData("other key")]
    [InlineData("garbage authority")]
    public void Files_Unfit_AreRefusedAtTheStartWithTheirPath(string fault)
    {
        using var authority = new TestAuthority();
        var options = fault switch
        {
            "missing" => authority.Issue("node-1") with { CertificatePath = "/nowhere/node.pem" },
            "other name" => authority.Issue("node-2"),
            "other key" => authority.Issue("node-1") with { KeyPath = authority.Issue("node-2").KeyPath },
            _ => authority.Issue("node-1") with { AuthorityPath = authority.Issue("node-1").KeyPath },
        };
        var error = Assert.Throws<InvalidOperationException>(() => Tls(options, 1));
        Assert.Contains(
            fault switch { "garbage authority" => options.AuthorityPath, "other key" => options.KeyPath, _ => options.CertificatePath },
            error.Message,
            StringComparison.Ordinal);
    }

    [Fact]
    public void Endpoint_OffLoopback_IsAllowedWithTlsOnly()
    {
        Assert.Equal(80, PeerAddress.Parse("192.0.2.1:80", isOffHostAllowed: true).Port);
        Assert.Throws<ArgumentException>(() => PeerAddress.Parse("192.0.2.1:80", isOffHostAllowed: false));
    }

    private static PeerTls Tls(PeerTlsOptions options, ushort self) => new(options, new NodeId(self), NullLogger.Instance);

    /// <summary>File times have coarse steps; a changed file is told by its time.</summary>
    private static void Age(PeerTlsOptions paths, int minutes) =>
        File.SetLastWriteTimeUtc(paths.CertificatePath, File.GetLastWriteTimeUtc(paths.CertificatePath).AddMinutes(minutes));

    private static async Task<string> SerialAsync(Station station, PeerTlsOptions client)
    {
        using var peer = await RawPeer.ConnectAsync(station.Endpoint);
        await using var stream = await SecureAsync(peer, client);
        return stream.RemoteCertificate!.GetSerialNumberString();
    }

    private static async Task<SslStream> SecureAsync(RawPeer peer, PeerTlsOptions? options)
    {
        var stream = new SslStream(new NetworkStream(peer.Socket));
        var certificate = options is null ? null : X509Certificate2.CreateFromPemFile(options.CertificatePath, options.KeyPath);
        await stream.AuthenticateAsClientAsync(
            new SslClientAuthenticationOptions
            {
                TargetHost = "node-1",
                ClientCertificateContext = certificate is null ? null : SslStreamCertificateContext.Create(certificate, null, offline: true),
#pragma warning disable CA5359 // The test judges the other side.
                RemoteCertificateValidationCallback = static (_, _, _, _) => true,
#pragma warning restore CA5359
            }).WaitAsync(LocalCluster.Patience);
        return stream;
    }
}
