using System.Runtime.CompilerServices;
using RaftMirror.DataPlane.Devices;
using RaftMirror.DataPlane.Exports;
using RaftMirror.DataPlane.Nbd.Protocol;

namespace RaftMirror.DataPlane.Nbd.Server;

/// <summary>A request between being read and being answered; reused. Its owner changes: reader, then the session's
/// thread that ends it, then the writer, which gives it back.</summary>
internal sealed class NbdRequest : IReadBuffer
{
    private readonly NbdConnection _connection;

    public NbdRequest(NbdConnection connection)
    {
        _connection = connection;
        OnCompleted = () => _connection.Complete(this);
    }

    /// <summary>Continuation of <see cref="Awaiter"/>; made once, so that waiting allocates nothing.</summary>
    public Action OnCompleted { get; }

    /// <summary>What the client asked.</summary>
    public RequestHeader Header;

    /// <summary>The session's answer to come.</summary>
    public ConfiguredValueTaskAwaitable<IoStatus>.ConfiguredValueTaskAwaiter Awaiter;

    /// <summary>Payload of a WRITE, or room for that of a READ.</summary>
    public AlignedBuffer? Buffer { get; set; }

    /// <inheritdoc/>
    public void Replace(AlignedBuffer buffer)
    {
        Buffer?.Dispose(); // Whoever still fills it holds it.
        Buffer = buffer;
    }

    /// <summary>Why it is answered with an error.</summary>
    public NbdRefusal Refusal { get; set; }

    /// <summary>No reply at all (<see cref="IoStatus.Drop"/>).</summary>
    public bool IsSilent { get; set; }

    /// <summary>Bytes that it holds of the connection's credit.</summary>
    public long CreditBytes { get; set; }

    /// <summary>They are of what all connections share.</summary>
    public bool IsCreditShared { get; set; }

    /// <summary>Link of whatever list it is in.</summary>
    public NbdRequest? Next { get; set; }

    /// <summary>True if data follows the reply's header.</summary>
    public bool SendsData => Refusal == NbdRefusal.None && Header.Command == NbdCommand.Read && Header.Length > 0;
}
