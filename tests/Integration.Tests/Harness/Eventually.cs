using System.Diagnostics;

namespace RaftMirror.Integration.Tests.Harness;

/// <summary>The one place that waits: it polls a condition until it holds, or says what was seen last.</summary>
internal static class Eventually
{
    private static readonly TimeSpan Interval = TimeSpan.FromMilliseconds(100);

    /// <summary>Polls until <paramref name="probe"/> returns something.</summary>
    /// <param name="what">The condition, for the message.</param>
    /// <param name="limit">How long it may take to hold.</param>
    /// <param name="probe">Returns null while the condition does not hold. What a node out of reach throws counts as that.</param>
    /// <param name="detail">What to say about the state that was found instead.</param>
    public static async Task<T> GetAsync<T>(string what, TimeSpan limit, Func<Task<T?>> probe, Func<string>? detail = null)
        where T : class
    {
        var clock = Stopwatch.StartNew();
        Exception? last = null;
        while (true)
        {
            try
            {
                if (await probe() is { } found) return found;
                last = null;
            }
            catch (Exception failure) when (IsTransient(failure))
            {
                last = failure;
            }

            if (clock.Elapsed > limit)
                throw new TimeoutException($"Not within {limit.TotalSeconds:0} s: {what}. {last?.Message} {detail?.Invoke()}", last);
            await Task.Delay(Interval);
        }
    }

    /// <summary>Polls until <paramref name="probe"/> returns true.</summary>
    public static Task TrueAsync(string what, TimeSpan limit, Func<Task<bool>> probe, Func<string>? detail = null) =>
        GetAsync<object>(what, limit, async () => await probe() ? what : null, detail);

    /// <summary>True for what a node that is down, starting or without a leader causes.</summary>
    private static bool IsTransient(Exception failure) => failure is HttpRequestException or IOException
        or System.Net.Sockets.SocketException or TaskCanceledException or Nbd.NbdDisconnectedException;
}
