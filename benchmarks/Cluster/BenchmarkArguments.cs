using System.Globalization;

namespace RaftMirror.Benchmarks.Cluster;

/// <summary>`--name value` pairs, all known by name before anything is started.</summary>
internal sealed class BenchmarkArguments
{
    private readonly Dictionary<string, string> _values = new(StringComparer.Ordinal);

    /// <param name="args">The command line after the benchmark's name.</param>
    /// <param name="defaults">Every option with the value that it has unless given.</param>
    /// <exception cref="ArgumentException">An unknown option, or one without a value.</exception>
    public BenchmarkArguments(string[] args, IReadOnlyDictionary<string, string> defaults)
    {
        foreach (var (name, value) in defaults) _values[name] = value;
        for (var i = 0; i < args.Length; i += 2)
        {
            var name = args[i] == "-o" ? "--output" : args[i];
            if (!_values.ContainsKey(name))
            {
                var known = string.Join(", ", defaults.Select(pair => $"{pair.Key} {pair.Value}"));
                throw new ArgumentException($"Unknown option {args[i]}. Options and defaults: {known}");
            }

            if (i + 1 == args.Length) throw new ArgumentException($"{args[i]} needs a value.");
            _values[name] = args[i + 1];
        }
    }

    public string Text(string name) => _values[name];

    public int Integer(string name) => int.Parse(_values[name], CultureInfo.InvariantCulture);

    public double Number(string name) => double.Parse(_values[name], CultureInfo.InvariantCulture);

    public string[] List(string name) => _values[name].Split(',', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries);
}
