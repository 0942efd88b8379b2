using System.Globalization;

namespace RaftMirror.Simulation.Explorer;

/// <summary>What can happen. The letter is how it is written in a path.</summary>
internal enum ActionKind : byte
{
    /// <summary>A message arrives.</summary>
    Deliver = (byte)'D',

    /// <summary>A message arrives and stays on the way.</summary>
    Duplicate = (byte)'U',

    /// <summary>A message is lost.</summary>
    Lose = (byte)'L',

    /// <summary>A node that does not lead has waited too long.</summary>
    Timeout = (byte)'T',

    /// <summary>A leader's heartbeat is due.</summary>
    Heartbeat = (byte)'H',

    /// <summary>The oldest write of a node is on its disk.</summary>
    Write = (byte)'W',

    /// <summary>A node dies when some of its writes are on its disk, and starts again.</summary>
    Crash = (byte)'C',

    Propose = (byte)'P',

    Change = (byte)'M',

    /// <summary>The state machine writes a snapshot.</summary>
    Snapshot = (byte)'S',

    /// <summary>A snapshot that was offered is here.</summary>
    Install = (byte)'I',

    Read = (byte)'R',
}

/// <summary>One step of a path.</summary>
/// <param name="Kind">What.</param>
/// <param name="Target">The node, from 0 on, or the message's place in the network.</param>
/// <param name="Argument">For <see cref="ActionKind.Crash"/>: how many writes survive.</param>
internal readonly record struct ExplorerAction(ActionKind Kind, byte Target, byte Argument = 0)
{
    /// <summary>Reads a path, as <see cref="ToString"/> writes it, with blanks between.</summary>
    public static ExplorerAction[] ParsePath(string path) =>
        [.. path.Split(' ', StringSplitOptions.RemoveEmptyEntries).Select(Parse)];

    public override string ToString() => Argument == 0 ? $"{(char)Kind}{Target}" : $"{(char)Kind}{Target}.{Argument}";

    private static ExplorerAction Parse(string text)
    {
        var parts = text[1..].Split('.');
        var kind = (ActionKind)text[0];
        if (!Enum.IsDefined(kind)) throw new FormatException($"{text} is no action.");
        return new ExplorerAction(
            kind, byte.Parse(parts[0], CultureInfo.InvariantCulture), parts.Length > 1 ? byte.Parse(parts[1], CultureInfo.InvariantCulture) : (byte)0);
    }
}
