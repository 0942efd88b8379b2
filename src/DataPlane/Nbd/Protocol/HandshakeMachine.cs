using System.Buffers;
using System.Buffers.Binary;
using System.Text;
using RaftMirror.DataPlane.Exports;
using RaftMirror.Primitives;

namespace RaftMirror.DataPlane.Nbd.Protocol;

/// <summary>What the connection does after a step of the handshake; output is sent first in every case.</summary>
internal enum HandshakeStep
{
    /// <summary>The input holds no whole message yet.</summary>
    NeedMore,

    /// <summary>A message was taken; step again.</summary>
    Continue,

    /// <summary>The answer waits: look again when something has changed, and at <see cref="HandshakeMachine.Waiting"/>'s deadline.</summary>
    Wait,

    /// <summary>The client chose an export; requests follow.</summary>
    Transmission,

    /// <summary>Close in a way that lets the last answer arrive (ABORT was acknowledged).</summary>
    CloseGracefully,

    /// <summary>The client broke a rule that has no answer: close.</summary>
    Close,
}

/// <summary>The server's side of the fixed newstyle handshake: bytes in, bytes out, one message a step, so that the
/// output of a step is bounded by one answer. Every length is checked before anything waits for that many bytes.
/// <code>
/// server: 0 "NBDMAGIC" | 8 "IHAVEOPT" | 16 flags u16        client: 0 flags u32
/// option: 0 "IHAVEOPT" | 8 option u32 | 12 length u32 | 16 data
/// answer: 0 magic u64 | 8 option u32 | 12 type u32 | 16 length u32 | 20 data
/// </code>
/// One owner, one thread.</summary>
internal sealed partial class HandshakeMachine
{
    /// <summary>More data than this in one option ends the connection, before it is waited for.</summary>
    public const int MaxOptionBytes = 64 << 10;

    /// <summary>The same for LIST_META_CONTEXT and SET_META_CONTEXT, whose queries are lists.</summary>
    public const int MaxMetaOptionBytes = 128 << 10;

    /// <summary>Options in one handshake; a client needs fewer than ten.</summary>
    public const int MaxOptions = 1000;

    /// <summary>An option waits so long for its export to be served.</summary>
    public const long ServiceWaitMs = 5000;

    /// <summary>All options of a handshake together: nobody can hold a thread for as long as there are options.</summary>
    public const long MaxWaitMs = 4 * ServiceWaitMs;

    private readonly IExportCatalog _catalog;
    private readonly ArrayBufferWriter<byte> _output = new(512);
    private long _waitLeftMs = MaxWaitMs;
    private long _waitSinceMs;
    private bool _matchesContext;
    private bool _hasClientFlags;
    private HandshakeFlags _clientFlags;
    private int _options;

    /// <summary>Starts a handshake; the greeting is output at once.</summary>
    /// <param name="catalog">Asked synchronously, within a step.</param>
    public HandshakeMachine(IExportCatalog catalog)
    {
        _catalog = catalog;
        PutUInt64(NbdWire.InitMagic);
        PutUInt64(NbdWire.OptionMagic);
        PutUInt16((ushort)(HandshakeFlags.FixedNewstyle | HandshakeFlags.NoZeroes));
    }

    /// <summary>The export that the client chose; set with <see cref="HandshakeStep.Transmission"/>.</summary>
    public IExport? Export { get; private set; }

    /// <summary>What the client was told about <see cref="Export"/>.</summary>
    public ExportInfo? Info { get; private set; }

    /// <summary>What the answer to the last option waits for; null if it does not wait.</summary>
    public ExportWait? Waiting { get; private set; }

    /// <summary>The export for which the option that waits needs a session, once there is one.</summary>
    public IExport? Wanted { get; private set; }

    /// <summary>Why the last option that waited was refused although its export may exist; null if it was not.</summary>
    public string? Refusal { get; private set; }

    /// <summary>Structured replies were agreed.</summary>
    public bool StructuredReplies { get; private set; }

    /// <summary>Bytes to send, until <see cref="ClearOutput"/>.</summary>
    public ReadOnlySpan<byte> Output => _output.WrittenSpan;

    /// <summary>The output was sent.</summary>
    public void ClearOutput() => _output.ResetWrittenCount();

    /// <summary>Takes at most one message.</summary>
    /// <param name="input">All bytes received and not yet consumed.</param>
    /// <param name="nowMs">Of any clock that does not step.</param>
    /// <param name="consumed">How many of them are done with; 0 for <see cref="HandshakeStep.NeedMore"/>.</param>
    public HandshakeStep Step(ReadOnlySpan<byte> input, long nowMs, out int consumed)
    {
        Invariant.Require(Waiting is null, "One option is answered before the next is taken.");
        consumed = 0;
        _waitSinceMs = nowMs;
        if (!_hasClientFlags) return TakeClientFlags(input, ref consumed);
        if (input.Length < NbdWire.OptionHeaderBytes) return HandshakeStep.NeedMore;
        if (BinaryPrimitives.ReadUInt64BigEndian(input) != NbdWire.OptionMagic) return HandshakeStep.Close;

        var option = (NbdOption)BinaryPrimitives.ReadUInt32BigEndian(input[8..]);
        var lengthBytes = BinaryPrimitives.ReadUInt32BigEndian(input[12..]);
        var isMeta = option is NbdOption.ListMetaContext or NbdOption.SetMetaContext;
        if (lengthBytes > (isMeta ? MaxMetaOptionBytes : MaxOptionBytes)) return HandshakeStep.Close;

        // Without fixed newstyle a client cannot understand an answer to anything but EXPORT_NAME.
        var isFixed = (_clientFlags & HandshakeFlags.FixedNewstyle) != 0;
        if (!isFixed && option != NbdOption.ExportName) return HandshakeStep.Close;
        if (input.Length - NbdWire.OptionHeaderBytes < lengthBytes) return HandshakeStep.NeedMore;
        if (++_options > MaxOptions) return HandshakeStep.Close;

        consumed = NbdWire.OptionHeaderBytes + (int)lengthBytes;
        return Answer(option, input.Slice(NbdWire.OptionHeaderBytes, (int)lengthBytes));
    }

    private HandshakeStep TakeClientFlags(ReadOnlySpan<byte> input, ref int consumed)
    {
        if (input.Length < 4) return HandshakeStep.NeedMore;
        _clientFlags = (HandshakeFlags)BinaryPrimitives.ReadUInt32BigEndian(input);
        if ((_clientFlags & ~(HandshakeFlags.FixedNewstyle | HandshakeFlags.NoZeroes)) != 0) return HandshakeStep.Close;
        _hasClientFlags = true;
        consumed = 4;
        return HandshakeStep.Continue;
    }

    private HandshakeStep Answer(NbdOption option, ReadOnlySpan<byte> data)
    {
        switch (option)
        {
            case NbdOption.ExportName:
                return ExportName(data);
            case NbdOption.Abort:
                PutReply(option, OptionReply.Ack, 0);
                return HandshakeStep.CloseGracefully;
            case NbdOption.List:
                return List(data);
            case NbdOption.Info or NbdOption.Go:
                return InfoOrGo(option, data);
            case NbdOption.StructuredReply:
                if (data.IsEmpty)
                {
                    StructuredReplies = true;
                    PutReply(option, OptionReply.Ack, 0);
                }
                else
                {
                    PutError(option, OptionReply.ErrorInvalid, "this option has no data");
                }

                return HandshakeStep.Continue;
            case NbdOption.ListMetaContext or NbdOption.SetMetaContext:
                return MetaContext(option, data);
            case NbdOption.StartTls:
                PutError(option, OptionReply.ErrorUnsupported, "this server has no TLS");
                return HandshakeStep.Continue;
            default:
                PutError(option, OptionReply.ErrorUnsupported, "unknown option");
                return HandshakeStep.Continue;
        }
    }

    private void PutReply(NbdOption option, OptionReply reply, int lengthBytes)
    {
        PutUInt64(NbdWire.OptionReplyMagic);
        PutUInt32((uint)option);
        PutUInt32((uint)reply);
        PutUInt32((uint)lengthBytes);
    }

    private void PutError(NbdOption option, OptionReply reply, string text)
    {
        var bytes = Encoding.UTF8.GetBytes(text);
        PutReply(option, reply, bytes.Length);
        Put(bytes);
    }

    private void PutUInt16(ushort value)
    {
        BinaryPrimitives.WriteUInt16BigEndian(_output.GetSpan(2), value);
        _output.Advance(2);
    }

    private void PutUInt32(uint value)
    {
        BinaryPrimitives.WriteUInt32BigEndian(_output.GetSpan(4), value);
        _output.Advance(4);
    }

    private void PutUInt64(ulong value)
    {
        BinaryPrimitives.WriteUInt64BigEndian(_output.GetSpan(8), value);
        _output.Advance(8);
    }

    private void Put(ReadOnlySpan<byte> bytes) => _output.Write(bytes);
}
