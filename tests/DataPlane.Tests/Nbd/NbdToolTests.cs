using System.Diagnostics;
using RaftMirror.DataPlane.Nbd.Server;
using Xunit;

namespace RaftMirror.DataPlane.Tests.Nbd;

/// <summary>Other people's clients against the server, over TCP and over a Unix socket.</summary>
public sealed class NbdToolTests : NbdServerFixture
{
    private readonly string _folder = Directory.CreateTempSubdirectory("nbd-tools-").FullName;

    public override async Task InitializeAsync()
    {
        Export = new MemoryExport(sizeBytes: 16 << 20);
        await base.InitializeAsync();
        Server.Listen(NbdEndpoint.Parse($"unix:{_folder}/s"));
    }

    public override async Task DisposeAsync()
    {
        await base.DisposeAsync();
        Directory.Delete(_folder, recursive: true);
    }

    [ToolFact("nbdinfo")]
    public async Task Nbdinfo_ListJsonAndMap_ShowTheExport()
    {
        foreach (var uri in Uris())
        {
            var json = await Run("nbdinfo", "--json", uri);
            Assert.Contains("\"export-size\": 16777216", json, StringComparison.Ordinal);
            Assert.Contains("\"protocol\": \"newstyle-fixed\"", json, StringComparison.Ordinal);
            Assert.Contains("\"can_multi_conn\": true", json, StringComparison.Ordinal);
            Assert.Contains("\"block_size_minimum\": 512", json, StringComparison.Ordinal);
            Assert.Contains("data", await Run("nbdinfo", "--map", uri), StringComparison.Ordinal);
            Assert.Contains("set/bystander", await Run("nbdinfo", "--list", uri), StringComparison.Ordinal);
        }
    }

    [ToolFact("nbdcopy", "cmp")]
    public async Task Nbdcopy_InAndOut_IsIdentical()
    {
        var data = new byte[16 << 20];
        new Random(2).NextBytes(data);
        await File.WriteAllBytesAsync($"{_folder}/in", data);
        foreach (var uri in Uris())
        {
            await Run("nbdcopy", "--flush", "--connections=4", "--requests=64", $"{_folder}/in", uri);
            await Run("nbdcopy", "--synchronous", uri, $"{_folder}/out");
            await Run("cmp", $"{_folder}/in", $"{_folder}/out");
            await File.WriteAllBytesAsync($"{_folder}/in", data.Reverse().ToArray());
        }
    }

    [ToolFact("qemu-io", "qemu-img")]
    public async Task Qemu_ReadsWritesZeroesDiscards_Agree()
    {
        foreach (var uri in Uris())
        {
            var output = await Run(
                "qemu-io", "-f", "raw", "-c", "write -P 0x11 0 1M", "-c", "write -f -P 0x22 1M 64k", "-c", "flush", "-c", "write -z 2M 1M",
                "-c", "discard 3M 1M", "-c", "read -P 0x11 0 1M", "-c", "read -P 0x22 1M 64k", "-c", "read -P 0 2M 1M", uri);
            Assert.DoesNotContain("failed", output, StringComparison.OrdinalIgnoreCase);
            Assert.Contains("virtual size: 16 MiB", await Run("qemu-img", "info", uri), StringComparison.Ordinal);
            await Run("qemu-img", "convert", "-f", "raw", "-O", "raw", "-W", "-m", "8", uri, $"{_folder}/converted");
            Assert.Contains("identical", await Run("qemu-img", "compare", "-f", "raw", "-F", "raw", uri, $"{_folder}/converted"), StringComparison.Ordinal);
        }
    }

    [ToolFact("fio")]
    public async Task Fio_RandomWritesWithVerify_FindNoError()
    {
        foreach (var uri in Uris())
        {
            await Run(
                "fio", "--name=verify", "--ioengine=nbd", $"--uri={uri}", "--rw=randwrite", "--bsrange=512-64k", "--iodepth=32", "--size=16M",
                "--verify=crc32c", "--fsync=64", "--randseed=7");
        }
    }

    private string[] Uris() => [$"nbd://{Endpoint}/set/vol", $"nbd+unix:///set/vol?socket={_folder}/s"];

    private async Task<string> Run(string tool, params string[] arguments)
    {
        var start = new ProcessStartInfo(tool, arguments)
        {
            RedirectStandardOutput = true,
            RedirectStandardError = true,
            WorkingDirectory = _folder, // fio leaves its verify state where it runs.
        };
        using var process = Process.Start(start)!;
        using var limit = new CancellationTokenSource(TimeSpan.FromSeconds(60));
        try
        {
            var output = process.StandardOutput.ReadToEndAsync(limit.Token);
            var error = process.StandardError.ReadToEndAsync(limit.Token);
            await process.WaitForExitAsync(limit.Token);
            var text = await output + await error;
            Assert.True(process.ExitCode == 0, $"{tool} ended with {process.ExitCode}: {text}");
            return text;
        }
        finally
        {
            if (!process.HasExited) process.Kill();
        }
    }
}
