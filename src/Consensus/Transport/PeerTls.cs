using System.Net.Security;
using System.Security.Authentication;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using Microsoft.Extensions.Logging;
using RaftMirror.Consensus.Model;

namespace RaftMirror.Consensus.Transport;

/// <summary>Certificates of the peer connections: loads them, loads them anew when the files change, and checks the
/// other side's. Any thread.</summary>
internal sealed class PeerTls
{
    private readonly PeerTlsOptions _options;
    private readonly NodeId _self;
    private readonly ILogger _logger;
    private readonly object _gate = new();
    private Loaded _loaded;
    private string _failedStamp = string.Empty;

    /// <exception cref="InvalidOperationException">A file is missing or unfit; the message says which and why.</exception>
    public PeerTls(PeerTlsOptions options, NodeId self, ILogger logger)
    {
        _options = options;
        _self = self;
        _logger = logger;
        var stamp = Stamp();
        _loaded = Load(stamp);
    }

    /// <summary>The name that a node's certificate must have.</summary>
    public static string NameOf(NodeId node) => $"node-{node}";

    /// <summary>Secures a dialled connection to <paramref name="peer"/>.</summary>
    /// <exception cref="AuthenticationException">The peer's certificate is none of the authority's, or names another node.</exception>
    public async Task<Stream> AsDiallerAsync(Stream inner, NodeId peer, CancellationToken cancellationToken)
    {
        var current = Current();
        var reason = string.Empty;
        return await SecureAsync(
            inner,
            stream => stream.AuthenticateAsClientAsync(
                new SslClientAuthenticationOptions
                {
                    TargetHost = NameOf(peer),
                    EnabledSslProtocols = SslProtocols.Tls12 | SslProtocols.Tls13,
                    ClientCertificateContext = current.Own,
                    AllowTlsResume = false, // Each connection is judged by the certificates of its own time.
                    CertificateChainPolicy = current.Policy(),
                    RemoteCertificateValidationCallback = (_, certificate, chain, errors) =>
                    {
                        reason = Judge(certificate, chain, errors) ?? (Names(certificate, peer) ? string.Empty : WrongName(certificate, peer));
                        return reason.Length == 0;
                    },
                },
                cancellationToken),
            () => reason);
    }

    /// <summary>Secures an accepted connection; who it is is to be checked by <see cref="Names(SslStream, NodeId)"/>.</summary>
    /// <exception cref="AuthenticationException">No certificate, or none of the authority's.</exception>
    public async Task<SslStream> AsListenerAsync(Stream inner, CancellationToken cancellationToken)
    {
        var current = Current();
        var reason = string.Empty;
        return await SecureAsync(
            inner,
            stream => stream.AuthenticateAsServerAsync(
                new SslServerAuthenticationOptions
                {
                    ServerCertificateContext = current.Own,
                    ClientCertificateRequired = true,
                    AllowTlsResume = false,
                    EnabledSslProtocols = SslProtocols.Tls12 | SslProtocols.Tls13,
                    CertificateChainPolicy = current.Policy(),
                    RemoteCertificateValidationCallback = (_, certificate, chain, errors) =>
                    {
                        reason = Judge(certificate, chain, errors) ?? string.Empty;
                        return reason.Length == 0;
                    },
                },
                cancellationToken),
            () => reason);
    }

    /// <summary>Whether the other side's certificate names <paramref name="node"/>.</summary>
    public static bool Names(SslStream stream, NodeId node) => Names(stream.RemoteCertificate, node);

    /// <param name="inner">Owned from now on, also if it fails.</param>
    /// <param name="authenticate">The handshake.</param>
    /// <param name="reason">Why the other side was refused, if it was.</param>
    private static async Task<SslStream> SecureAsync(Stream inner, Func<SslStream, Task> authenticate, Func<string> reason)
    {
        var stream = new SslStream(inner, leaveInnerStreamOpen: false);
        try
        {
            await authenticate(stream);
            return stream;
        }
        catch (AuthenticationException error)
        {
            await stream.DisposeAsync();
            throw new AuthenticationException(reason() is { Length: > 0 } why ? why : error.Message, error);
        }
        catch
        {
            await stream.DisposeAsync();
            throw;
        }
    }

    private static bool Names(X509Certificate? certificate, NodeId node) =>
        certificate is X509Certificate2 known && DnsNames(known).Contains(NameOf(node), StringComparer.OrdinalIgnoreCase);

    private static string WrongName(X509Certificate? certificate, NodeId node) =>
        $"the certificate \"{certificate?.Subject}\" does not name {NameOf(node)}";

    private static IEnumerable<string> DnsNames(X509Certificate2 certificate) =>
        certificate.Extensions.OfType<X509SubjectAlternativeNameExtension>().SelectMany(extension => extension.EnumerateDnsNames());

    /// <summary>Names are checked apart, on both sides alike.</summary>
    private static string? Judge(X509Certificate? certificate, X509Chain? chain, SslPolicyErrors errors)
    {
        if (certificate is null) return "the other side showed no certificate";
        if ((errors & ~SslPolicyErrors.RemoteCertificateNameMismatch) == SslPolicyErrors.None) return null;
        var details = chain is null ? [] : chain.ChainStatus.Select(status => status.StatusInformation.Trim());
        return $"the certificate \"{certificate.Subject}\" is not trusted: {string.Join("; ", details)}";
    }

    private Loaded Current()
    {
        lock (_gate)
        {
            var stamp = Stamp();
            if (stamp == _loaded.Stamp || stamp == _failedStamp) return _loaded;
            try
            {
                _loaded = Load(stamp);
                TransportLogMessages.CertificatesReloaded(_logger, _loaded.Own.TargetCertificate.NotAfter);
            }
            catch (InvalidOperationException error)
            {
                // Half-written or wrong files do not take a working node off the air; said once per change of the files.
                _failedStamp = stamp;
                TransportLogMessages.CertificatesNotReloaded(_logger, error.Message);
            }

            return _loaded;
        }
    }

    private string Stamp()
    {
        var text = string.Empty;
        foreach (var path in new[] { _options.CertificatePath, _options.KeyPath, _options.AuthorityPath })
        {
            var file = new FileInfo(path);
            text += file.Exists ? $"{file.LastWriteTimeUtc.Ticks}:{file.Length};" : "missing;";
        }

        return text;
    }

    private Loaded Load(string stamp)
    {
        var path = _options.AuthorityPath;
        try
        {
            var authorities = new X509Certificate2Collection();
            authorities.ImportFromPemFile(path);
            if (authorities.Count == 0) throw new InvalidOperationException($"{path} holds no certificate.");
            path = _options.CertificatePath;
            var chain = new X509Certificate2Collection();
            chain.ImportFromPemFile(path);
            if (chain.Count == 0) throw new InvalidOperationException($"{path} holds no certificate.");
            if (!DnsNames(chain[0]).Contains(NameOf(_self), StringComparer.OrdinalIgnoreCase))
                throw new InvalidOperationException($"{path} does not name this node: its subject alternative names lack DNS:{NameOf(_self)}.");
            path = $"{_options.CertificatePath} with key {_options.KeyPath}";
            var own = X509Certificate2.CreateFromPemFile(_options.CertificatePath, _options.KeyPath);
            chain.RemoveAt(0);
            return new Loaded(stamp, SslStreamCertificateContext.Create(own, chain, offline: true), authorities);
        }
        catch (Exception error) when (error is CryptographicException or IOException or UnauthorizedAccessException or ArgumentException)
        {
            throw new InvalidOperationException($"{path}: {error.Message}", error);
        }
    }

    private sealed record Loaded(string Stamp, SslStreamCertificateContext Own, X509Certificate2Collection Authorities)
    {
        /// <summary>The given authorities only: never the system's, which would let anyone with a public certificate in.</summary>
        public X509ChainPolicy Policy()
        {
            var policy = new X509ChainPolicy
            {
                TrustMode = X509ChainTrustMode.CustomRootTrust,
                RevocationMode = X509RevocationMode.NoCheck,
                DisableCertificateDownloads = true,
            };
            policy.CustomTrustStore.AddRange(Authorities);
            return policy;
        }
    }
}
