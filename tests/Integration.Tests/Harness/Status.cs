using System.Text.Json.Nodes;

namespace RaftMirror.Integration.Tests.Harness;

/// <summary>Waits for causes in the status of a cluster's first set.</summary>
internal static class Status
{
    private static readonly TimeSpan Limit = TimeSpan.FromSeconds(60);

    /// <summary>Waits until status names a cause.</summary>
    /// <param name="cluster">Which.</param>
    /// <param name="asked">The node that is asked.</param>
    /// <param name="code">What the cause's code begins with.</param>
    /// <param name="text">What the cause says among other things.</param>
    /// <param name="about">What its object ends with.</param>
    /// <param name="each">Done at each look.</param>
    public static async Task CauseAsync(
        TestCluster cluster, NodeProcess asked, string code, string text = "", string about = "", Action? each = null)
    {
        JsonNode? last = null;
        await Eventually.TrueAsync($"status names {code}", Limit, async () =>
        {
            each?.Invoke();
            last = (await cluster.StatusAsync(asked))["disksets"]![0]!["causes"];
            return last!.AsArray().Any(cause => Has(cause!, code) && ((string)cause!["cause"]!).Contains(text, StringComparison.Ordinal)
                && ((string)cause["object"]!).EndsWith(about, StringComparison.Ordinal));
        }, () => last?.ToJsonString() ?? "");
    }

    /// <summary>Waits until status names a cause no more.</summary>
    public static async Task NoCauseAsync(TestCluster cluster, NodeProcess asked, string code)
    {
        JsonNode? last = null;
        await Eventually.TrueAsync($"status names {code} no more", Limit, async () =>
        {
            last = (await cluster.StatusAsync(asked))["disksets"]![0]!["causes"];
            return !last!.AsArray().Any(cause => Has(cause!, code));
        }, () => last?.ToJsonString() ?? "");
    }

    private static bool Has(JsonNode cause, string code) => ((string)cause["code"]!).StartsWith(code, StringComparison.Ordinal);
}
