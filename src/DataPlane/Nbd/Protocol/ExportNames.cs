using System.Globalization;
using System.Text;
using System.Text.Unicode;

namespace RaftMirror.DataPlane.Nbd.Protocol;

/// <summary>What is wrong with a name that a client sent.</summary>
internal enum NameProblem
{
    None,
    TooLong,
    NotUtf8,
    ContainsNul,
}

/// <summary>Strings that clients send and are sent.</summary>
internal static class ExportNames
{
    private const int MaxEscapedBytes = 64;

    /// <summary>Checks a name before it is looked up.</summary>
    public static NameProblem Check(ReadOnlySpan<byte> name)
    {
        if (name.Length > NbdWire.MaxStringBytes) return NameProblem.TooLong;
        if (!Utf8.IsValid(name)) return NameProblem.NotUtf8;
        return name.Contains((byte)0) ? NameProblem.ContainsNul : NameProblem.None;
    }

    /// <summary>The problem in words.</summary>
    public static string Describe(NameProblem problem) => problem switch
    {
        NameProblem.TooLong => "longer than 4096 bytes",
        NameProblem.NotUtf8 => "not UTF-8",
        NameProblem.ContainsNul => "contains a NUL",
        _ => "fine",
    };

    /// <summary>A client's bytes as printable ASCII in quotes, cut after 64 bytes: they may not be echoed as they came.</summary>
    public static string Escape(ReadOnlySpan<byte> bytes)
    {
        var text = new StringBuilder("'");
        foreach (var value in bytes[..Math.Min(bytes.Length, MaxEscapedBytes)])
        {
            if (value is >= 0x20 and < 0x7f and not (byte)'\'' and not (byte)'\\') text.Append((char)value);
            else text.Append(CultureInfo.InvariantCulture, $"\\x{value:x2}");
        }

        return text.Append('\'').Append(bytes.Length > MaxEscapedBytes ? "…" : "").ToString();
    }

    /// <summary>A text of ours as UTF-8, cut at a character so that it fits the protocol's limit.</summary>
    public static ReadOnlySpan<byte> Shorten(string text)
    {
        ReadOnlySpan<byte> bytes = Encoding.UTF8.GetBytes(text);
        if (bytes.Length <= NbdWire.MaxStringBytes) return bytes;
        var end = NbdWire.MaxStringBytes;
        while ((bytes[end] & 0xC0) == 0x80) end--; // 10xxxxxx continues a character.
        return bytes[..end];
    }
}
