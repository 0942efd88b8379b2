using System.Security.Cryptography;
using RaftMirror.Consensus.Storage;

namespace RaftMirror.Consensus.Node;

/// <summary>Ties a salvaged log to the identity that may use it.</summary>
internal static class SalvagedLog
{
    /// <summary>SHA-256 of the receipt of a data directory's log; null if the log was never salvaged.</summary>
    public static string? Fingerprint(string directory)
    {
        var path = Path.Combine(DirectoryIdentity.LogOf(directory), WalSalvage.ReceiptName);
        return File.Exists(path) ? Convert.ToHexStringLower(SHA256.HashData(File.ReadAllBytes(path))) : null;
    }

    /// <summary>Why a node must not start from a directory: its log was salvaged, and this identity is still that of the old cluster, whose
    /// members would take what may be missing in it for acknowledged.</summary>
    public static string? WhyRefused(string directory, NodeRecord record) =>
        Fingerprint(directory) is { } receipt && receipt != record.EnactedReceipt
            ? $"{directory} holds a salvaged log ({WalSalvage.ReceiptName}) that was not made the start of a new cluster: use what 'raft recover' made, whole."
            : null;
}
