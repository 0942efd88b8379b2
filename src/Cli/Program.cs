using System.Runtime.InteropServices;
using RaftMirror.Cli.CommandLine;
using RaftMirror.Cli.Rendering;
using RaftMirror.Cli.Verbs;
using RaftMirror.Node.Hosting;

namespace RaftMirror.Cli;

internal static class Program
{
    private static async Task<int> Main(string[] args)
    {
        using var stop = new CancellationTokenSource();
        ExitCode? signal = null;

        // The first signal asks the command to end in order; the second is the system's own, which ends it at once.
        void Stop(PosixSignalContext context, ExitCode code)
        {
            if (signal is not null) return;
            signal = code;
            context.Cancel = true;
            stop.Cancel();
        }

        using var interrupt = PosixSignalRegistration.Create(PosixSignal.SIGINT, context => Stop(context, ExitCode.Interrupted));
        using var terminate = PosixSignalRegistration.Create(PosixSignal.SIGTERM, context => Stop(context, ExitCode.Terminated));
        var code = await CommandTree.RunAsync(args, Terminal.FromProcess(), NodeDaemon.RunAsync, stop.Token);
        return (int)(code == ExitCode.Interrupted ? signal ?? code : code);
    }
}
