using System.CommandLine;
using RaftMirror.Cli.CommandLine;
using RaftMirror.Cli.Rendering;

namespace RaftMirror.Cli.Verbs;

/// <summary>How clients reach a volume.</summary>
internal sealed partial class CommandTree
{
    private void AddExport()
    {
        var group = AddGroup("export", "How clients reach volumes.");
        var shown = VolumeArgument();
        Add(group, new Command("show", "Shows a volume's addresses, and the time-out that its clients need.") { shown }, async (parsed, context, token) =>
        {
            var (set, name) = Arguments.Volume(parsed.GetRequiredValue(shown));
            using var client = context.Connect();
            var report = ExportReport.Of(await client.StatusAsync(set, name, stale: false, token), $"{set}/{name}");
            if (context.IsJson)
            {
                context.WriteJson(report, ReportJson.Indented.ExportReport);
                return ExitCode.Ok;
            }

            var table = new Table("NODE", "SERVES", "URI");
            foreach (var address in report.Addresses) table.Add(address.Node, address.Joined ? "yes" : "no", address.Uri);
            table.Write(context.Terminal);
            context.Terminal.Out.WriteLine($"client time-out: {ExportReport.TimeoutText(report.ClientTimeoutMs)}");
            return ExitCode.Ok;
        });
    }
}
