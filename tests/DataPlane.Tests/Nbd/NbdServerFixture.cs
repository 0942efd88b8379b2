using RaftMirror.DataPlane.Nbd.Server;
using Xunit;

namespace RaftMirror.DataPlane.Tests.Nbd;

/// <summary>A server with one export and an unrelated connection that stays open all the time: a server that crashes,
/// or a fault that reaches another connection, is found out at the end.</summary>
#pragma warning disable CA1001 // xUnit disposes by DisposeAsync.
public abstract class NbdServerFixture : IAsyncLifetime
#pragma warning restore CA1001
{
    private readonly MemoryExport _bystanderExport = new("set/bystander", 64 << 10);
    private NbdTestClient? _bystander;

    private protected MemoryExport Export { get; set; } = new();

    private protected TestCatalog Catalog { get; private set; } = new();

    private protected NbdServer Server { get; private set; } = new(new TestCatalog());

    private protected NbdEndpoint Endpoint => Server.ListeningEndpoints[0];

    private protected virtual NbdServerOptions Options => new();

    public virtual Task InitializeAsync()
    {
        Catalog = new TestCatalog(Export, _bystanderExport);
        Server = new NbdServer(Catalog, Options);
        Server.Listen(NbdEndpoint.Parse("127.0.0.1:0"));
        _bystander = NbdTestClient.Attach(Endpoint, "set/bystander");
        return Task.CompletedTask;
    }

    public virtual async Task DisposeAsync()
    {
        var pattern = new byte[4096];
        pattern.AsSpan().Fill(0x5A);
        Assert.Equal(0u, _bystander!.Do(1, 8192, 4096, payload: pattern).Error);
        Assert.Equal(pattern, _bystander.Do(0, 8192, 4096).Data);
        _bystander.Dispose();
        Assert.Equal(0, await Server.StopAsync(TimeSpan.FromSeconds(20)));
        Assert.Equal(0, Export.OpenSessions);
        Assert.Equal(0, Export.RunningAtDispose);
        await Server.DisposeAsync();
        Export.Dispose();
        _bystanderExport.Dispose();
    }

    /// <summary>Waits until a condition holds that no event announces.</summary>
    private protected static async Task Eventually(Func<bool> condition, string what)
    {
        var deadline = Environment.TickCount64 + 20_000;
        using var timer = new PeriodicTimer(TimeSpan.FromMilliseconds(5));
        while (!condition())
        {
            Assert.True(Environment.TickCount64 < deadline, $"It never came about that {what}.");
            await timer.WaitForNextTickAsync();
        }
    }
}
