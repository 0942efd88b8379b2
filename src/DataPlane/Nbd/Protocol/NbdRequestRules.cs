using RaftMirror.DataPlane.Exports;

namespace RaftMirror.DataPlane.Nbd.Protocol;

/// <summary>What to do with a request.</summary>
internal enum RequestAction
{
    /// <summary>Hand it to the volume.</summary>
    Execute,

    /// <summary>Answer success at once: there is nothing to do.</summary>
    Succeed,

    /// <summary>Answer the error; a WRITE's payload is read and thrown away first.</summary>
    Refuse,

    /// <summary>The client is done: finish what is outstanding, then close.</summary>
    Disconnect,

    /// <summary>A payload so long that skipping it is no service: end the connection.</summary>
    Drop,
}

/// <summary>The verdict on one request.</summary>
/// <param name="Action">What to do.</param>
/// <param name="Refusal">Why not, for <see cref="RequestAction.Refuse"/>.</param>
internal readonly record struct RequestVerdict(RequestAction Action, NbdRefusal Refusal = NbdRefusal.None);

/// <summary>Decides about requests of one connection, before any of them reaches a volume. Pure.</summary>
internal sealed class NbdRequestRules
{
    private readonly ulong _sizeBytes;
    private readonly ulong _blockMask;
    private readonly bool _isReadOnly;

    /// <summary>Rules for one connection.</summary>
    /// <param name="info">The export that the client attached.</param>
    /// <param name="structuredReplies">The client asked for structured replies.</param>
    /// <param name="allocationContext">The client selected base:allocation for this export.</param>
    public NbdRequestRules(ExportInfo info, bool structuredReplies, bool allocationContext)
    {
        _sizeBytes = (ulong)info.SizeBytes;
        _blockMask = (ulong)info.MinimumBlockBytes - 1;
        _isReadOnly = info.IsReadOnly;
        StructuredReplies = structuredReplies;
        AllocationContext = allocationContext;
    }

    /// <summary>READ must then be answered with chunks, errors too.</summary>
    public bool StructuredReplies { get; }

    /// <summary>BLOCK_STATUS may be asked.</summary>
    public bool AllocationContext { get; }

    /// <summary>The flags of an export, the same in INFO, GO and EXPORT_NAME.</summary>
    public static TransmissionFlags FlagsOf(ExportInfo info, bool structuredReplies)
    {
        var flags = TransmissionFlags.HasFlags | TransmissionFlags.SendFlush | TransmissionFlags.SendFua;
        flags |= info.IsReadOnly
            ? TransmissionFlags.ReadOnly
            : TransmissionFlags.SendTrim | TransmissionFlags.SendWriteZeroes;
        if (structuredReplies) flags |= TransmissionFlags.SendDf;
        if (info.IsMultiConn) flags |= TransmissionFlags.CanMultiConn;
        return flags;
    }

    /// <summary>Payload bytes that follow the request, whatever the verdict on it.</summary>
    public static uint PayloadBytes(in RequestHeader request) =>
        request.Command == NbdCommand.Write ? request.Length : 0;

    /// <summary>The verdict on a request.</summary>
    public RequestVerdict Check(in RequestHeader request)
    {
        switch (request.Command)
        {
            case NbdCommand.Disconnect:
                return new RequestVerdict(RequestAction.Disconnect);
            case NbdCommand.Read or NbdCommand.Write or NbdCommand.Flush or NbdCommand.Trim
                or NbdCommand.WriteZeroes or NbdCommand.BlockStatus:
                break;
            default:
                return Refuse(NbdRefusal.UnknownCommand);
        }

        if (PayloadBytes(request) > NbdWire.MaxSkippedPayloadBytes) return new RequestVerdict(RequestAction.Drop);
        if ((request.Flags & ~AllowedFlags(request.Command)) != 0) return Refuse(NbdRefusal.UnknownFlag);

        // Offset and length of a FLUSH are reserved; flushing whatever they say harms nobody.
        if (request.Command == NbdCommand.Flush) return new RequestVerdict(RequestAction.Execute);
        if (_isReadOnly && (request.Command is NbdCommand.Write or NbdCommand.Trim or NbdCommand.WriteZeroes))
        {
            return Refuse(NbdRefusal.ReadOnly);
        }

        return CheckRange(request);
    }

    private RequestVerdict CheckRange(in RequestHeader request)
    {
        if ((request.Command is NbdCommand.Read or NbdCommand.Write) && request.Length > NbdWire.MaxPayloadBytes)
        {
            return Refuse(NbdRefusal.TooLong);
        }

        // Written so that no sum can wrap.
        if (request.Offset > _sizeBytes || request.Length > _sizeBytes - request.Offset)
        {
            return Refuse(request.Command is NbdCommand.Write or NbdCommand.WriteZeroes
                ? NbdRefusal.WritePastEnd
                : NbdRefusal.PastEnd);
        }

        if (request.Command == NbdCommand.BlockStatus)
        {
            if (!AllocationContext) return Refuse(NbdRefusal.NoContext);
            if (request.Length == 0) return Refuse(NbdRefusal.EmptyStatus);
        }

        if (request.Length == 0) return new RequestVerdict(RequestAction.Succeed);
        if (((request.Offset | request.Length) & _blockMask) != 0) return Refuse(NbdRefusal.Unaligned);
        return new RequestVerdict(RequestAction.Execute);
    }

    private CommandFlags AllowedFlags(NbdCommand command) => CommandFlags.ForceUnitAccess | command switch
    {
        NbdCommand.Read when StructuredReplies => CommandFlags.DoNotFragment,
        NbdCommand.WriteZeroes => CommandFlags.NoHole,
        NbdCommand.BlockStatus => CommandFlags.RequestOne,
        _ => CommandFlags.None,
    };

    private static RequestVerdict Refuse(NbdRefusal refusal) => new(RequestAction.Refuse, refusal);
}
