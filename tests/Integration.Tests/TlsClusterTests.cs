using System.Diagnostics;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using RaftMirror.Integration.Tests.Harness;
using RaftMirror.Integration.Tests.Nbd;
using Xunit;
using Xunit.Abstractions;

namespace RaftMirror.Integration.Tests;

/// <summary>Nodes that prove to each other who they are. Leases are long here, so that nothing but a renewal asked for at once makes a
/// new client's first write quick.</summary>
public sealed class TlsClusterTests(ITestOutputHelper output)
{
    private const int LeaseMs = 20_000;

    [Fact]
    public Task Certificates_WholeCluster_ServesGrowsAndFirstWritesAreNotLate() => TestCluster.RunAsync(
        output,
        async cluster =>
        {
            await cluster.CreateSetAsync("tls", disks: 2, megabytes: 128);
            await cluster.CreateMirrorAsync("tls/v", "32M");
            var ledger = new BlockLedger(0, 1 << 20, 16 << 10, seed: 0x715);
            await using (var client = await NbdClient.ConnectAsync(cluster["a"], "tls/v")) await BlockWriter.FillAsync(client, ledger);
            await using (var reader = await NbdClient.ConnectAsync(cluster["c"], "tls/v")) await ledger.VerifyAsync(reader, "through c");

            // A regular renewal comes every quarter of the lease.
            var waits = new List<double>();
            for (var i = 0; i < 5; i++)
            {
                await using var client = await NbdClient.ConnectAsync(cluster["a"], "tls/v");
                var clock = Stopwatch.StartNew();
                Assert.Equal(0u, await client.WriteAsync(16 << 20, new byte[4096]));
                waits.Add(clock.Elapsed.TotalMilliseconds);
            }

            output.WriteLine($"first writes took {string.Join(", ", waits.Select(wait => $"{wait:0}"))} ms");
            Assert.True(waits.Order().ElementAt(2) < LeaseMs / 4 * 0.3, $"first writes took {string.Join(", ", waits)} ms");

            // A new node's certificate names its number, so it must be expected first.
            var d = cluster.AddNode("d");
            Certify(cluster, d, 4);
            cluster.Start(d);
            await Eventually.TrueAsync("d is refused", TimeSpan.FromSeconds(30), () => Task.FromResult(d.ExitCode is not null));
            Assert.Equal(4, d.ExitCode);
            Assert.Contains("raft add d", d.Output(), StringComparison.Ordinal);
            var added = (await cluster["a"].CliAsync("raft", "add", "d", "--peer", d.Peer, "--learner")).Expect().Json;
            Assert.Equal(4, (int)added["data"]!["id"]!);
            cluster.Start(d);
            await cluster.WaitUntilReadyAsync(d);
            await cluster.CliAsync("raft", "promote", "d");
        },
        arguments: (cluster, node) =>
        {
            Certify(cluster, node, node.Name[0] - 'a' + 1);
            return ["--lease-ms", $"{LeaseMs}"];
        });

    /// <summary>Gives a node a certificate of the cluster's authority.</summary>
    private static void Certify(TestCluster cluster, NodeProcess node, int number)
    {
        var authorityFile = cluster.File("ca.pem");
        var from = DateTimeOffset.UtcNow.AddHours(-1);
        using var authority = Authority(cluster, from);
        using var key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        var request = new CertificateRequest($"CN=node-{number}", key, HashAlgorithmName.SHA256);
        var names = new SubjectAlternativeNameBuilder();
        names.AddDnsName($"node-{number}");
        request.CertificateExtensions.Add(names.Build());
        using var certificate = request.Create(authority, from, from.AddDays(2), [1, 2, 3, (byte)number]);
        var (certificateFile, keyFile) = (cluster.File($"{node.Name}.pem"), cluster.File($"{node.Name}.key"));
        File.WriteAllText(certificateFile, certificate.ExportCertificatePem());
        File.WriteAllText(keyFile, key.ExportPkcs8PrivateKeyPem());
        node.Arguments.AddRange(["--peer-cert", certificateFile, "--peer-key", keyFile, "--peer-ca", authorityFile]);
    }

    private static X509Certificate2 Authority(TestCluster cluster, DateTimeOffset from)
    {
        var (authorityFile, authorityKey) = (cluster.File("ca.pem"), cluster.File("ca.key"));
        if (File.Exists(authorityFile)) return X509Certificate2.CreateFromPemFile(authorityFile, authorityKey);
        using var key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        var request = new CertificateRequest("CN=raftmirror peers", key, HashAlgorithmName.SHA256);
        request.CertificateExtensions.Add(new X509BasicConstraintsExtension(true, false, 0, true));
        request.CertificateExtensions.Add(new X509KeyUsageExtension(X509KeyUsageFlags.KeyCertSign, true));
        var authority = request.CreateSelfSigned(from, from.AddDays(3));
        File.WriteAllText(authorityFile, authority.ExportCertificatePem());
        File.WriteAllText(authorityKey, key.ExportPkcs8PrivateKeyPem());
        return authority;
    }
}
