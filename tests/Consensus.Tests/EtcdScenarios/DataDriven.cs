namespace RaftMirror.Consensus.Tests.EtcdScenarios;

/// <summary>One case of a file of etcd's data-driven tests.</summary>
/// <param name="File">Path below etcd-raft.</param>
/// <param name="Line">Where the command stands, 1 and up.</param>
/// <param name="Command">The first word.</param>
/// <param name="Arguments">The other words, in order: "1" has no values, "cfg=(1,2)" has two.</param>
/// <param name="Input">Lines between the command and "----".</param>
/// <param name="Expected">Lines after it.</param>
internal sealed record DataDrivenCase(
    string File, int Line, string Command, IReadOnlyList<(string Key, string[] Values)> Arguments, string[] Input, string[] Expected)
{
    /// <summary>An argument's values; null if it is not there.</summary>
    public string[]? Values(string key) =>
        Arguments.Where(argument => argument.Key == key).Select(argument => argument.Values).FirstOrDefault();

    public bool IsSet(string key) => Values(key) is ["true"];

    /// <summary>Arguments that are node numbers.</summary>
    public ushort[] Nodes =>
        [.. Arguments.Where(argument => argument.Key.All(char.IsAsciiDigit)).Select(argument => ushort.Parse(argument.Key))];

    public override string ToString() => $"{File}:{Line}: {Command}";
}

/// <summary>Reads the format of cockroachdb/datadriven: comments, a command with arguments, input, "----", the expected text up to an
/// empty line. Whatever is not understood throws.</summary>
internal static class DataDriven
{
    /// <param name="folder">The folder etcd-raft.</param>
    /// <param name="file">Path below it.</param>
    public static IReadOnlyList<DataDrivenCase> Read(string folder, string file) =>
        Parse(file, File.ReadAllLines(Path.Combine(folder, file)));

    /// <param name="file">The name that cases get.</param>
    /// <param name="lines">The text.</param>
    public static IReadOnlyList<DataDrivenCase> Parse(string file, string[] lines)
    {
        var cases = new List<DataDrivenCase>();
        for (var i = 0; i < lines.Length;)
        {
            if (lines[i].Length == 0 || lines[i].StartsWith('#') || string.IsNullOrWhiteSpace(lines[i]))
            {
                i++;
                continue;
            }

            var line = i + 1;
            var (command, arguments) = Directive(lines[i++]);
            var input = TakeUntil(lines, ref i, text => text == "----");
            if (i == lines.Length) throw new FormatException($"{file}:{line}: a case without '----'");
            i++;
            if (i < lines.Length && lines[i] == "----") throw new FormatException($"{file}:{line}: expectations with empty lines are not supported");
            cases.Add(new DataDrivenCase(file, line, command, arguments, input, TakeUntil(lines, ref i, string.IsNullOrWhiteSpace)));
        }

        return cases;
    }

    private static string[] TakeUntil(string[] lines, ref int i, Func<string, bool> isEnd)
    {
        var start = i;
        while (i < lines.Length && !isEnd(lines[i])) i++;
        return lines[start..i];
    }

    /// <summary>Splits at spaces that are not inside parentheses, where they are dropped.</summary>
    private static (string Command, List<(string, string[])> Arguments) Directive(string line)
    {
        var words = new List<string>();
        var word = "";
        var depth = 0;
        foreach (var c in line)
        {
            depth += c == '(' ? 1 : c == ')' ? -1 : 0;
            if (c != ' ')
            {
                word += c;
            }
            else if (depth == 0 && word.Length > 0)
            {
                words.Add(word);
                word = "";
            }
        }

        if (depth != 0) throw new FormatException($"Parentheses do not match: {line}");
        if (word.Length > 0) words.Add(word);
        return (words[0], [.. words.Skip(1).Select(Argument)]);
    }

    private static (string, string[]) Argument(string word)
    {
        var separator = word.IndexOf('=', StringComparison.Ordinal);
        if (separator < 0) return (word, []);
        var value = word[(separator + 1)..];
        if (!value.StartsWith('(')) return (word[..separator], [value]);
        return (word[..separator], value[1..^1].Split(',', StringSplitOptions.RemoveEmptyEntries));
    }
}
