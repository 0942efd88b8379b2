using System.Buffers.Binary;

namespace RaftMirror.DataPlane.Nbd.Protocol;

/// <content>Metadata contexts. Only base:allocation is offered yet, answered as "allocated".</content>
internal sealed partial class HandshakeMachine
{
    /// <summary>Queries in one option; more are answered ERR_TOO_BIG.</summary>
    public const int MaxQueries = 4096;

    private string? _allocationContextOf;

    /// <summary>base:allocation was selected for <see cref="Export"/>. A selection holds for the export it named.</summary>
    public bool AllocationContext =>
        StructuredReplies && Info is not null && string.Equals(_allocationContextOf, Info.Name, StringComparison.Ordinal);

    /// <summary>Data: name length u32, name, number of queries u32, each length u32 and text.</summary>
    private HandshakeStep MetaContext(NbdOption option, ReadOnlySpan<byte> data)
    {
        // A SET that fails leaves nothing selected, and certainly not the selection before it.
        if (option == NbdOption.SetMetaContext) _allocationContextOf = null;
        if (!StructuredReplies)
        {
            PutError(option, OptionReply.ErrorInvalid, "structured replies must be agreed first");
            return HandshakeStep.Continue;
        }

        if (!TryTakeString(ref data, out var name) || data.Length < 4)
        {
            PutError(option, OptionReply.ErrorInvalid, "malformed data");
            return HandshakeStep.Continue;
        }

        var queries = BinaryPrimitives.ReadUInt32BigEndian(data);
        if (queries > MaxQueries)
        {
            PutError(option, OptionReply.ErrorTooBig, "too many queries");
            return HandshakeStep.Continue;
        }

        data = data[4..];
        var matches = option == NbdOption.ListMetaContext && queries == 0;
        for (var i = 0; i < queries; i++)
        {
            if (!TryTakeString(ref data, out var query) || query.Length > NbdWire.MaxStringBytes)
            {
                PutError(option, OptionReply.ErrorInvalid, "malformed data");
                return HandshakeStep.Continue;
            }

            matches |= Matches(option, query);
        }

        if (!data.IsEmpty)
        {
            PutError(option, OptionReply.ErrorInvalid, "malformed data");
            return HandshakeStep.Continue;
        }

        _matchesContext = matches;
        return Ask(option, name);
    }

    private void PutContexts(NbdOption option, string exportName, bool matches)
    {
        if (matches)
        {
            // However many queries matched, it is one context, sent and selected once.
            var isSet = option == NbdOption.SetMetaContext;
            PutReply(option, OptionReply.MetaContext, 4 + NbdWire.AllocationContextName.Length);
            PutUInt32(isSet ? NbdWire.AllocationContextId : 0);
            Put(NbdWire.AllocationContextName);
            if (isSet) _allocationContextOf = exportName;
        }

        PutReply(option, OptionReply.Ack, 0);
    }

    /// <summary>"base:" lists the namespace and selects nothing; unknown names are passed over in silence.</summary>
    private static bool Matches(NbdOption option, ReadOnlySpan<byte> query) =>
        query.SequenceEqual(NbdWire.AllocationContextName)
        || (option == NbdOption.ListMetaContext && query.SequenceEqual("base:"u8));

    private static bool TryTakeString(ref ReadOnlySpan<byte> data, out ReadOnlySpan<byte> text)
    {
        text = default;
        if (data.Length < 4) return false;
        var lengthBytes = BinaryPrimitives.ReadUInt32BigEndian(data);
        if (lengthBytes > data.Length - 4) return false;
        text = data.Slice(4, (int)lengthBytes);
        data = data[(4 + (int)lengthBytes)..];
        return true;
    }
}
