using RaftMirror.Cli.Rendering;

namespace RaftMirror.Cli.CommandLine;

/// <summary>Checks of what was typed, before anything is asked of a node. Each throws a usage failure that says what is wrong.</summary>
internal static class Arguments
{
    public static string Name(string text, string what) => Names.IsValid(text)
        ? text
        : throw CliFailure.Usage($"'{text}' is not a {what} name.", $"Names are {Names.Rule}.");

    /// <summary>SET/VOLUME.</summary>
    public static (string Set, string Volume) Volume(string text)
    {
        var parts = text.Split('/');
        if (parts.Length != 2) throw CliFailure.Usage($"'{text}' is not SET/VOLUME.", "Example: demo/d10.");
        return (Name(parts[0], "disk set"), Name(parts[1], "volume"));
    }

    /// <summary>SET or SET/VOLUME.</summary>
    public static (string Set, string? Volume) SetOrVolume(string text)
    {
        if (!text.Contains('/')) return (Name(text, "disk set"), null);
        var (set, volume) = Volume(text);
        return (set, volume);
    }

    /// <summary>Distinct names, comma-separated.</summary>
    public static IReadOnlyList<string> NameList(string text, string what)
    {
        var names = text.Split(',', StringSplitOptions.TrimEntries).Select(name => Name(name, what)).ToList();
        return names.Distinct().Count() == names.Count
            ? names
            : throw CliFailure.Usage($"'{text}' names a {what} twice.");
    }

    public static long Size(string text, string option)
    {
        if (!Sizes.TryParse(text, out var bytes) || bytes <= 0)
            throw CliFailure.Usage($"{option}: '{text}' is not a size.", "Write 256M, 1.5G or a number of bytes.");
        return bytes;
    }

    public static T Choice<T>(string text, string option, params (string Word, T Value)[] choices)
    {
        foreach (var (word, value) in choices)
        {
            if (word == text) return value;
        }

        var nearest = Suggestions.Nearest(text, choices.Select(choice => choice.Word));
        throw CliFailure.Usage(
            $"{option}: '{text}' is none of {string.Join(", ", choices.Select(choice => choice.Word))}.",
            nearest is null ? null : $"Did you mean '{nearest}'?");
    }
}
