using System.Globalization;

namespace RaftMirror.Contracts;

/// <summary>Durations as people write them: 250ms, 30s, 2m, 1h; a bare number is seconds.</summary>
internal static class Durations
{
    public static bool TryParse(string text, out TimeSpan result)
    {
        result = default;
        var digits = 0;
        while (digits < text.Length && (char.IsAsciiDigit(text[digits]) || text[digits] == '.')) digits++;
        if (!double.TryParse(text.AsSpan(0, digits), NumberStyles.AllowDecimalPoint, CultureInfo.InvariantCulture, out var value))
            return false;
        double? seconds = text[digits..] switch
        {
            "ms" => value / 1000,
            "" or "s" => value,
            "m" => value * 60,
            "h" => value * 3600,
            _ => null,
        };
        if (seconds is not { } total || total > TimeSpan.FromDays(1).TotalSeconds) return false;
        result = TimeSpan.FromSeconds(total);
        return true;
    }
}
