using System.Buffers.Binary;
using System.Text;
using RaftMirror.DataPlane.Exports;

namespace RaftMirror.DataPlane.Nbd.Protocol;

/// <content>Choosing an export: LIST, INFO, GO, EXPORT_NAME.</content>
internal sealed partial class HandshakeMachine
{
    private const int ExportNamePadding = 124;

    /// <summary>Looks once more whether the option that waits can be answered.</summary>
    /// <returns>As <see cref="Step"/>; <see cref="HandshakeStep.Wait"/> if it waits on.</returns>
    public HandshakeStep LookAgain(in WaitFacts facts)
    {
        var wait = Waiting!;
        var isList = wait.Option == NbdOption.List;
        var list = isList ? _catalog.List() : null;
        var look = isList ? default : _catalog.Look(wait.Name);
        Wanted = wait.NeedsSession ? look.Export : null;
        var verdict = isList ? wait.Decide(list!, facts) : wait.Decide(look, facts);
        if (verdict == WaitVerdict.Wait) return HandshakeStep.Wait;
        _waitLeftMs = Math.Max(0, _waitLeftMs - (facts.NowMs - _waitSinceMs));
        Waiting = null;
        Wanted = null;
        if (verdict != WaitVerdict.Ready) return RefuseExport(wait, verdict);
        return isList ? PutList(list!.Names!) : Answer(wait, look);
    }

    /// <summary>EXPORT_NAME cannot be answered with an error: every refusal is a close.</summary>
    private HandshakeStep ExportName(ReadOnlySpan<byte> data) =>
        ExportNames.Check(data) == NameProblem.None ? Ask(NbdOption.ExportName, data) : HandshakeStep.Close;

    private HandshakeStep List(ReadOnlySpan<byte> data)
    {
        if (data.IsEmpty) return Ask(NbdOption.List, data);
        PutError(NbdOption.List, OptionReply.ErrorInvalid, "this option has no data");
        return HandshakeStep.Continue;
    }

    private HandshakeStep PutList(IReadOnlyList<ExportListing> list)
    {
        foreach (var listing in list)
        {
            var name = Encoding.UTF8.GetBytes(listing.Name);
            var description = ExportNames.Shorten(listing.Description);
            PutReply(NbdOption.List, OptionReply.Server, 4 + name.Length + description.Length);
            PutUInt32((uint)name.Length);
            Put(name);
            Put(description);
        }

        PutReply(NbdOption.List, OptionReply.Ack, 0);
        return HandshakeStep.Continue;
    }

    /// <summary>Data: name length u32, name, number of information requests u16, each u16. The requests are hints;
    /// everything is always sent.</summary>
    private HandshakeStep InfoOrGo(NbdOption option, ReadOnlySpan<byte> data)
    {
        if (data.Length < 6 || BinaryPrimitives.ReadUInt32BigEndian(data) is var nameBytes && nameBytes > data.Length - 6)
        {
            PutError(option, OptionReply.ErrorInvalid, "malformed data");
            return HandshakeStep.Continue;
        }

        var name = data.Slice(4, (int)nameBytes);
        var requests = data[(4 + (int)nameBytes)..];
        if (requests.Length == 2 + (2 * BinaryPrimitives.ReadUInt16BigEndian(requests))) return Ask(option, name);
        PutError(option, OptionReply.ErrorInvalid, "malformed data");
        return HandshakeStep.Continue;
    }

    /// <summary>Begins to wait; the first look follows at once.</summary>
    private HandshakeStep Ask(NbdOption option, ReadOnlySpan<byte> name)
    {
        var problem = ExportNames.Check(name);
        if (problem != NameProblem.None)
        {
            PutError(option, OptionReply.ErrorInvalid, $"export name {ExportNames.Escape(name)}: {ExportNames.Describe(problem)}");
            return HandshakeStep.Continue;
        }

        Refusal = null;
        Waiting = new ExportWait(option, Encoding.UTF8.GetString(name), _waitSinceMs + Math.Min(ServiceWaitMs, _waitLeftMs));
        return HandshakeStep.Wait;
    }

    private HandshakeStep RefuseExport(ExportWait wait, WaitVerdict verdict)
    {
        if (verdict == WaitVerdict.Refused) Refusal = wait.Reason;
        if (wait.Option == NbdOption.ExportName) return HandshakeStep.Close;
        var name = wait.Option == NbdOption.List ? "the list" : ExportNames.Escape(Encoding.UTF8.GetBytes(wait.Name));
        if (verdict == WaitVerdict.Unknown) PutError(wait.Option, OptionReply.ErrorUnknown, $"there is no export {name}");
        else PutError(wait.Option, OptionReply.ErrorShutdown, $"{name} is not to be had here now: {wait.Reason}");
        return HandshakeStep.Continue;
    }

    private HandshakeStep Answer(ExportWait wait, in ExportLookup look)
    {
        if (wait.Option is NbdOption.ListMetaContext or NbdOption.SetMetaContext)
        {
            PutContexts(wait.Option, wait.Name, _matchesContext);
            return HandshakeStep.Continue;
        }

        // One look at the description: it may change between two.
        var info = look.Export!.Info;
        if (wait.Option == NbdOption.ExportName) PutExport(info);
        else PutInfos(wait.Option, info);
        if (wait.Option == NbdOption.Info) return HandshakeStep.Continue;
        (Export, Info) = (look.Export, info);
        return HandshakeStep.Transmission;
    }

    private void PutExport(ExportInfo info)
    {
        PutUInt64((ulong)info.SizeBytes);
        PutUInt16((ushort)NbdRequestRules.FlagsOf(info, StructuredReplies));
        if ((_clientFlags & HandshakeFlags.NoZeroes) != 0) return;
        _output.GetSpan(ExportNamePadding)[..ExportNamePadding].Clear();
        _output.Advance(ExportNamePadding);
    }

    private void PutInfos(NbdOption option, ExportInfo info)
    {
        PutReply(option, OptionReply.Info, 12);
        PutUInt16((ushort)InfoType.Export);
        PutUInt64((ulong)info.SizeBytes);
        PutUInt16((ushort)NbdRequestRules.FlagsOf(info, StructuredReplies));

        PutStringInfo(option, InfoType.Name, Encoding.UTF8.GetBytes(info.Name));
        PutStringInfo(option, InfoType.Description, ExportNames.Shorten(info.Description));

        PutReply(option, OptionReply.Info, 14);
        PutUInt16((ushort)InfoType.BlockSize);
        PutUInt32((uint)info.MinimumBlockBytes);
        PutUInt32((uint)info.PreferredBlockBytes);
        PutUInt32(NbdWire.MaxPayloadBytes);
        PutReply(option, OptionReply.Ack, 0);
    }

    private void PutStringInfo(NbdOption option, InfoType type, ReadOnlySpan<byte> text)
    {
        PutReply(option, OptionReply.Info, 2 + text.Length);
        PutUInt16((ushort)type);
        Put(text);
    }
}
