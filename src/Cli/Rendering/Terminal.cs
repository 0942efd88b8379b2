namespace RaftMirror.Cli.Rendering;

/// <summary>Where a command writes: results to <see cref="Out"/>, everything else to <see cref="Error"/>.</summary>
/// <param name="Out">Results.</param>
/// <param name="Error">Errors, notes, progress.</param>
/// <param name="IsInteractive">Results go to a terminal that understands escape codes.</param>
/// <param name="HasColor">Colour is wanted there.</param>
/// <param name="HasUnicode">Bars and trees may use more than ASCII.</param>
internal sealed record Terminal(TextWriter Out, TextWriter Error, bool IsInteractive, bool HasColor, bool HasUnicode)
{
    private static readonly string[] LocaleVariables = ["LC_ALL", "LC_CTYPE", "LANG"];

    /// <summary>The process's streams: plain in pipes; NO_COLOR and TERM=dumb are honoured.</summary>
    public static Terminal FromProcess()
    {
        var dumb = Environment.GetEnvironmentVariable("TERM") is null or "" or "dumb";
        var interactive = !Console.IsOutputRedirected && !dumb;
        var noColor = !string.IsNullOrEmpty(Environment.GetEnvironmentVariable("NO_COLOR"));
        StandardStreams.GuardConsole();
        return new Terminal(StandardStreams.OpenOut(), StandardStreams.OpenError(), interactive, interactive && !noColor, IsUtf8Locale());
    }

    /// <summary>A state word, coloured by how bad it is.</summary>
    public string Paint(string text, string word)
    {
        if (!HasColor) return text;
        var code = word switch
        {
            "okay" or "up" or "ok" => "32",
            "resyncing" or "attached" or "warning" or "draining" or "suspect" or "offline" or "released" => "33",
            "leader" or "follower" => "0",
            _ => "31",
        };
        return $"\u001b[{code}m{text}\u001b[0m";
    }

    private static bool IsUtf8Locale()
    {
        var locale = LocaleVariables.Select(Environment.GetEnvironmentVariable).FirstOrDefault(value => !string.IsNullOrEmpty(value));
        return locale is not null && locale.Replace("-", "", StringComparison.Ordinal).Contains("utf8", StringComparison.OrdinalIgnoreCase);
    }
}
