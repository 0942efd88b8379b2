using RaftMirror.Cli.Commands;
using RaftMirror.Cli.Output;
namespace RaftMirror.Cli.Demo;
internal static class DemoRunner { public static Task<ExitCode> RunAsync(DemoOptions o, Terminal t, bool j, CancellationToken c) => throw new NotSupportedException(); }
