using System.Diagnostics;
using System.Globalization;
using System.Text.Json;
using System.Text.Json.Serialization.Metadata;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Hosting.Server;
using Microsoft.AspNetCore.Hosting.Server.Features;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;
using RaftMirror.Consensus;
using RaftMirror.Contracts;

namespace RaftMirror.Node.Http;

/// <summary>The HTTP API of a node: JSON over HTTP on loopback and on a Unix socket. It only translates; every answer is
/// <see cref="INodeApi"/>'s. Handlers run on pool threads.</summary>
internal sealed partial class ApiServer : IAsyncDisposable
{
    private const long MaxRequestBytes = 1 << 20;
    private static readonly TimeSpan MaxWait = TimeSpan.FromSeconds(60);

    private readonly INodeApi _node;
    private readonly WebApplication _app;
    private readonly string? _socketPath;

    private ApiServer(INodeApi node, WebApplication app, string? socketPath)
    {
        _node = node;
        _app = app;
        _socketPath = socketPath;
    }

    /// <summary>The TCP address that is listened on; the port is real even if 0 was asked for.</summary>
    public HostPort Endpoint { get; private set; }

    /// <summary>Starts to listen.</summary>
    /// <param name="node">Who answers.</param>
    /// <param name="endpoint">Loopback address.</param>
    /// <param name="socketPath">Unix socket, mode 0600, in a directory that only its owner may enter; null for none. A
    /// socket that a dead process left there is replaced.</param>
    /// <param name="cancellationToken">Gives up.</param>
    /// <param name="door">Bounds the connections; null for the defaults.</param>
    /// <exception cref="ArgumentException">The address is not loopback.</exception>
    /// <exception cref="IOException">The port is taken or the socket cannot be made.</exception>
    public static async Task<ApiServer> StartAsync(
        INodeApi node, HostPort endpoint, string? socketPath, CancellationToken cancellationToken, ApiDoor? door = null)
    {
        door ??= new ApiDoor();
        if (!System.Net.IPAddress.IsLoopback(endpoint.Address))
            throw new ArgumentException($"{endpoint} is not a loopback address; see --api.", nameof(endpoint));

        var builder = WebApplication.CreateEmptyBuilder(new WebApplicationOptions
        {
            ApplicationName = "raftmirror",
            ContentRootPath = "/", // No file is served. The default is the directory of the start, which may be gone when a new incarnation begins.
        });
        builder.WebHost.UseKestrelCore();
        builder.Services.AddRoutingCore();
        if (socketPath is not null) File.Delete(socketPath);
        builder.WebHost.ConfigureKestrel(options =>
        {
            options.AddServerHeader = false;
            options.Limits.MaxRequestBodySize = MaxRequestBytes;
            options.Listen(endpoint.ToEndPoint(), door.Guard);
            if (socketPath is not null) options.ListenUnixSocket(socketPath, door.Guard);
        });
        builder.Logging.ClearProviders();
        var app = builder.Build();
        var server = new ApiServer(node, app, socketPath);
        app.Use(server.GuardAsync);
        server.Map(app);
        await app.StartAsync(cancellationToken);
        if (socketPath is not null && !OperatingSystem.IsWindows())
            File.SetUnixFileMode(socketPath, UnixFileMode.UserRead | UnixFileMode.UserWrite);
        var address = app.Services.GetRequiredService<IServer>().Features.Get<IServerAddressesFeature>()!.Addresses
            .First(text => text.StartsWith("http://", StringComparison.Ordinal) && !text.Contains("unix:", StringComparison.Ordinal));
        var uri = new Uri(address);
        server.Endpoint = endpoint with { Port = uri.Port };
        return server;
    }

    public async ValueTask DisposeAsync()
    {
        using var limit = new CancellationTokenSource(TimeSpan.FromSeconds(2));
        try
        {
            await _app.StopAsync(limit.Token);
        }
        catch (OperationCanceledException)
        {
            // Connections that did not end in time are closed by the disposal below.
        }

        await _app.DisposeAsync();
        if (_socketPath is not null) File.Delete(_socketPath);
    }

    private void Map(WebApplication app)
    {
        app.MapGet("/livez", (RequestDelegate)(context => WriteTextAsync(context, StatusCodes.Status200OK, "ok\n")));
        app.MapGet("/readyz", (RequestDelegate)ReadyAsync);
        app.MapGet("/v1/status/{set?}/{volume?}", (RequestDelegate)StatusAsync);
        app.MapGet("/v1/nodes", (RequestDelegate)NodesAsync);
        app.MapGet("/v1/disksets/{set}/volumes/{volume}/map", (RequestDelegate)MapAsync);
        app.MapGet("/v1/clock", (RequestDelegate)ClockAsync);
        app.MapPost("/v1/commands", (RequestDelegate)CommandAsync);
        app.MapGet("/v1/events", (RequestDelegate)EventsAsync);
        app.MapGet("/v1/raft/peers", (RequestDelegate)PeersAsync);
        app.MapPost("/v1/raft/transfer", (RequestDelegate)TransferAsync);
        app.MapPost("/v1/raft/members", (RequestDelegate)MembersAsync);
        app.MapPost("/v1/raft/join", (RequestDelegate)JoinAsync);
        app.MapPost("/v1/raft/reseed", (RequestDelegate)ReseedAsync);
        app.MapGet("/v1/raft/log", (RequestDelegate)LogAsync);
        app.MapGet("/v1/raft/snapshots", (RequestDelegate)SnapshotsAsync);
        app.MapGet("/v1/traces", (RequestDelegate)TracesAsync);
        app.MapGet("/v1/traces/{id}", (RequestDelegate)TraceAsync);
        app.MapFallback((RequestDelegate)(context => WriteProblemAsync(context, ProblemCodes.Missing(
            $"There is no {context.Request.Method} {context.Request.Path} in this API."))));
    }

    /// <summary>Around every request: headers that say who answers, web pages kept out, and exceptions as problems.</summary>
    private async Task GuardAsync(HttpContext context, RequestDelegate next)
    {
        SetPosition(context);

        // A page in a browser on this host must not be able to give commands: its requests carry another host name
        // (DNS rebinding) or cannot have this content type without asking first.
        var host = context.Request.Host.Host;
        if (host.Length > 0 && host != "localhost"
            && !(System.Net.IPAddress.TryParse(host.Trim('[', ']'), out var address) && System.Net.IPAddress.IsLoopback(address)))
        {
            await WriteProblemAsync(context, ProblemCodes.Malformed($"Host '{host}' is not this node's loopback address."));
            return;
        }

        if (HttpMethods.IsPost(context.Request.Method) && !context.Request.HasJsonContentType())
        {
            await WriteProblemAsync(context, ProblemCodes.Malformed("A POST needs Content-Type: application/json."));
            return;
        }

        try
        {
            await next(context);
        }
        catch (OperationCanceledException) when (context.RequestAborted.IsCancellationRequested)
        {
            // The client has gone: nobody is left to answer.
        }
        catch (NodeBarredException barred)
        {
            await WriteProblemAsync(context, ProblemCodes.Barred(barred.Code, barred.Message, barred.Help));
        }
        catch (NoLeaderException failure)
        {
            await WriteProblemAsync(context, ProblemCodes.Unavailable(failure.Message));
        }
        catch (Exception failure) when (failure is JsonException or Microsoft.AspNetCore.Http.BadHttpRequestException)
        {
            await WriteProblemAsync(context, ProblemCodes.Malformed(failure.Message));
        }
        catch (Exception failure) when (failure is not RaftMirror.Primitives.InvariantException)
        {
            await WriteProblemAsync(context, new Problem
            {
                Title = "Internal error",
                Status = StatusCodes.Status500InternalServerError,
                Detail = $"{failure.GetType().Name}: {failure.Message}",
                Code = ProblemCodes.InternalError,
                Applied = HttpMethods.IsGet(context.Request.Method) ? "no" : "unknown",
                TraceId = Activity.Current?.TraceId.ToHexString(),
                Help = "This is a bug; please report it with the node's log.",
            });
        }
    }

    private void SetPosition(HttpContext context)
    {
        var position = _node.Position;
        var headers = context.Response.Headers;
        headers[ApiNames.IndexHeader] = position.Index.ToString(CultureInfo.InvariantCulture);
        headers[ApiNames.TermHeader] = position.Term.ToString(CultureInfo.InvariantCulture);
        headers[ApiNames.AnsweredByHeader] = _node.Name;
        if (position.Leader is not null) headers[ApiNames.LeaderHeader] = position.Leader;
    }

    private async Task WriteJsonAsync<T>(HttpContext context, int status, T value, JsonTypeInfo<T> type, string media)
    {
        SetPosition(context); // Again: the request itself may have moved the index.
        context.Response.StatusCode = status;
        context.Response.ContentType = media;
        await JsonSerializer.SerializeAsync(context.Response.Body, value, type, context.RequestAborted);
    }

    private Task WriteJsonAsync<T>(HttpContext context, T value, JsonTypeInfo<T> type) =>
        WriteJsonAsync(context, StatusCodes.Status200OK, value, type, "application/json");

    private Task WriteProblemAsync(HttpContext context, Problem problem)
    {
        if (!context.Response.HasStarted)
            return WriteJsonAsync(context, problem.Status, problem, ApiJson.Default.Problem, "application/problem+json");
        context.Abort(); // Half an answer is out; a cut connection cannot be taken for a whole one.
        return Task.CompletedTask;
    }

    private static Task WriteTextAsync(HttpContext context, int status, string text)
    {
        context.Response.StatusCode = status;
        context.Response.ContentType = "text/plain; charset=utf-8";
        return context.Response.WriteAsync(text, context.RequestAborted);
    }
}
