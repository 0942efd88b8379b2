using System.Globalization;

namespace RaftMirror.Cli.Rendering;

/// <summary>Sizes and times as people read and write them. Powers of 1024.</summary>
internal static class Sizes
{
    private const string Units = "KMGTPE";

    /// <summary>0B, 512B, 64.0K, 256.0M, 1.5T.</summary>
    public static string Format(long bytes)
    {
        if (bytes < 1024) return bytes.ToString(CultureInfo.InvariantCulture) + "B";
        double value = bytes;
        var unit = -1;
        while (value >= 1024 && unit < Units.Length - 1)
        {
            value /= 1024;
            unit++;
        }

        return value.ToString("0.0", CultureInfo.InvariantCulture) + Units[unit];
    }

    /// <summary>Parses 4096, 64K, 256M, 1.5G, 1T (also KiB, MB and the like: all are powers of 1024).</summary>
    public static bool TryParse(string text, out long bytes)
    {
        bytes = 0;
        var digits = 0;
        while (digits < text.Length && (char.IsAsciiDigit(text[digits]) || text[digits] == '.')) digits++;
        if (!decimal.TryParse(text.AsSpan(0, digits), NumberStyles.AllowDecimalPoint, CultureInfo.InvariantCulture, out var value))
            return false;
        var suffix = text[digits..].ToUpperInvariant();
        decimal factor = 1;
        if (suffix.Length > 0 && suffix != "B")
        {
            var unit = Units.IndexOf(suffix[0]);
            if (unit < 0 || suffix[1..] is not ("" or "B" or "IB")) return false;
            for (var i = 0; i <= unit; i++) factor *= 1024;
        }

        if (value > long.MaxValue / factor) return false;
        var product = value * factor;
        bytes = (long)product;
        return product == bytes;
    }

    /// <summary>H:MM:SS.</summary>
    public static string Clock(long seconds) =>
        string.Create(CultureInfo.InvariantCulture, $"{seconds / 3600}:{seconds / 60 % 60:00}:{seconds % 60:00}");

    /// <summary>1m22s, 45s, 25m35s, 3h04m.</summary>
    public static string Short(long seconds) => seconds switch
    {
        < 60 => string.Create(CultureInfo.InvariantCulture, $"{seconds}s"),
        < 3600 => string.Create(CultureInfo.InvariantCulture, $"{seconds / 60}m{seconds % 60:00}s"),
        _ => string.Create(CultureInfo.InvariantCulture, $"{seconds / 3600}h{seconds / 60 % 60:00}m"),
    };

    public static string Count(long count) => count.ToString("#,0", CultureInfo.InvariantCulture);
}
