using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using RaftMirror.Consensus.Model;
using RaftMirror.Consensus.Transport;

namespace RaftMirror.Consensus.Tests.Transport;

/// <summary>A certificate authority of its own, with its files in a temporary directory.</summary>
internal sealed class TestAuthority : IDisposable
{
    private readonly string _directory = Directory.CreateTempSubdirectory("raft-mirror-tls-").FullName;
    private readonly ECDsa _key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
    private readonly X509Certificate2 _certificate;
    private long _serial = 100;

    public TestAuthority()
    {
        var request = new CertificateRequest("CN=test authority", _key, HashAlgorithmName.SHA256);
        request.CertificateExtensions.Add(new X509BasicConstraintsExtension(true, false, 0, true));
        request.CertificateExtensions.Add(new X509KeyUsageExtension(X509KeyUsageFlags.KeyCertSign, true));
        _certificate = request.CreateSelfSigned(DateTimeOffset.UtcNow.AddHours(-1), DateTimeOffset.UtcNow.AddHours(1));
        AuthorityPath = Path.Combine(_directory, "ca.pem");
        File.WriteAllText(AuthorityPath, _certificate.ExportCertificatePem());
    }

    public string AuthorityPath { get; }

    public PeerTlsOptions Issue(NodeId node) => Issue($"node-{node}");

    /// <summary>Writes a certificate with one DNS name, over what was there under <paramref name="file"/>.</summary>
    public PeerTlsOptions Issue(string name, string? file = null, bool isExpired = false)
    {
        using var key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        var request = new CertificateRequest($"CN={name}", key, HashAlgorithmName.SHA256);
        var names = new SubjectAlternativeNameBuilder();
        names.AddDnsName(name);
        request.CertificateExtensions.Add(names.Build());
        var serial = BitConverter.GetBytes(++_serial);
        var until = isExpired ? DateTimeOffset.UtcNow.AddMinutes(-1) : DateTimeOffset.UtcNow.AddMinutes(50);
        using var certificate = request.Create(_certificate, DateTimeOffset.UtcNow.AddMinutes(-30), until, serial);
        var path = Path.Combine(_directory, file ?? name);
        File.WriteAllText(path + ".pem", certificate.ExportCertificatePem());
        File.WriteAllText(path + ".key", key.ExportPkcs8PrivateKeyPem());
        return new PeerTlsOptions(path + ".pem", path + ".key", AuthorityPath);
    }

    public void Dispose()
    {
        _certificate.Dispose();
        _key.Dispose();
        Directory.Delete(_directory, recursive: true);
    }
}
