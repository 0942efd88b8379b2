using System.Collections.Concurrent;

namespace RaftMirror.DataPlane.Metadata;

/// <summary>Looks at paths, each on a thread of its own and waited for only so long: one that hangs must not keep what is found at the next. It is not
/// looked at again before that look has come back, so that it costs one thread. Any thread.</summary>
/// <param name="limit">How long one is waited for.</param>
internal sealed class BoundedLooks(TimeSpan limit)
{
    private readonly ConcurrentDictionary<string, bool> _underWay = new(StringComparer.Ordinal);

    /// <summary>Asks about a path.</summary>
    /// <param name="path">Of it there is one look at a time.</param>
    /// <param name="look">Never throws; may block.</param>
    /// <returns>False also if there is no answer in time.</returns>
    public bool Ask(string path, Func<bool> look)
    {
        if (!_underWay.TryAdd(path, true)) return false;
        var answer = new TaskCompletionSource<bool>();
        new Thread(() =>
        {
            var isYes = look();
            _underWay.TryRemove(path, out _);
            answer.SetResult(isYes);
        })
        { IsBackground = true, Name = "disk finder" }.Start();
        return answer.Task.Wait(limit) && answer.Task.Result;
    }
}
