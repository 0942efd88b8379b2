namespace RaftMirror.Consensus.Transport;

/// <summary>Mutual TLS between the nodes. Both sides show a certificate, signed by the given authority and no other, whose
/// subject alternative names contain <c>DNS:node-N</c>, N being the node's number. Files that changed are used by the next connection.</summary>
/// <param name="CertificatePath">PEM: this node's certificate, then intermediate ones if there are any.</param>
/// <param name="KeyPath">PEM: its private key, not encrypted.</param>
/// <param name="AuthorityPath">PEM: the authority's certificate, or several while one replaces another.</param>
public sealed record PeerTlsOptions(string CertificatePath, string KeyPath, string AuthorityPath);
