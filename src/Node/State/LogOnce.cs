using System.Collections.Concurrent;

namespace RaftMirror.Node.State;

/// <summary>Logs a trouble when it begins or changes, not each time that it is met: what is tried again twice a second would else drown
/// everything. Any thread.</summary>
internal sealed class LogOnce
{
    private readonly ConcurrentDictionary<string, string> _last = new(StringComparer.Ordinal);

    /// <summary>Logs if the text is not the one that was logged for the subject last.</summary>
    /// <param name="subject">What the trouble is about.</param>
    /// <param name="text">What is said.</param>
    /// <param name="log">Writes it.</param>
    public void Log(string subject, string text, Action log)
    {
        var isNew = true;
        _last.AddOrUpdate(subject, text, (_, old) =>
        {
            isNew = old != text;
            return text;
        });
        if (isNew) log();
    }

    /// <summary>The trouble is over: the same one is said again when it comes back.</summary>
    public void Over(string subject) => _last.TryRemove(subject, out _);
}
