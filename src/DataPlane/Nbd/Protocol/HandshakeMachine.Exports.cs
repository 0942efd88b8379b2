using System.Buffers;
using System.Buffers.Binary;
using System.Text;

namespace RaftMirror.DataPlane.Nbd.Protocol;

/// <content>Choosing an export: LIST, INFO, GO, EXPORT_NAME.</content>
internal sealed partial class HandshakeMachine
{
    private const int ExportNamePadding = 124;

    /// <summary>EXPORT_NAME cannot be answered with an error: every refusal is a close.</summary>
    private HandshakeStep ExportName(ReadOnlySpan<byte> data)
    {
        if (ExportNames.Check(data) != NameProblem.None) return HandshakeStep.Close;
        if (_catalog.Find(Encoding.UTF8.GetString(data)) is not { } export) return HandshakeStep.Close;

        Choose(export, export.Info);
        PutUInt64((ulong)Info!.SizeBytes);
        PutUInt16((ushort)RequestRules.FlagsOf(Info, StructuredReplies));
        if ((_clientFlags & HandshakeFlags.NoZeroes) == 0)
        {
            _output.GetSpan(ExportNamePadding)[..ExportNamePadding].Clear();
            _output.Advance(ExportNamePadding);
        }

        return HandshakeStep.Transmission;
    }

    private void List(ReadOnlySpan<byte> data)
    {
        if (!data.IsEmpty)
        {
            PutError(NbdOption.List, OptionReply.ErrorInvalid, "this option has no data");
            return;
        }

        foreach (var info in _catalog.List())
        {
            var name = Encoding.UTF8.GetBytes(info.Name);
            var description = ExportNames.Shorten(info.Description);
            PutReply(NbdOption.List, OptionReply.Server, 4 + name.Length + description.Length);
            PutUInt32((uint)name.Length);
            Put(name);
            Put(description);
        }

        PutReply(NbdOption.List, OptionReply.Ack, 0);
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
        if (requests.Length != 2 + (2 * BinaryPrimitives.ReadUInt16BigEndian(requests)))
        {
            PutError(option, OptionReply.ErrorInvalid, "malformed data");
            return HandshakeStep.Continue;
        }

        if (FindExport(option, name) is not { } export) return HandshakeStep.Continue;

        // One look at the description: it may change between two.
        var info = export.Info;
        PutInfos(option, info);
        PutReply(option, OptionReply.Ack, 0);
        if (option == NbdOption.Info) return HandshakeStep.Continue;
        Choose(export, info);
        return HandshakeStep.Transmission;
    }

    /// <summary>The export of that name; else the error is output and the result is null.</summary>
    private IExport? FindExport(NbdOption option, ReadOnlySpan<byte> name)
    {
        var problem = ExportNames.Check(name);
        if (problem != NameProblem.None)
        {
            PutError(option, OptionReply.ErrorInvalid, $"export name {ExportNames.Escape(name)}: {ExportNames.Describe(problem)}");
            return null;
        }

        var export = _catalog.Find(Encoding.UTF8.GetString(name));
        if (export is null) PutError(option, OptionReply.ErrorUnknown, $"there is no export {ExportNames.Escape(name)}");
        return export;
    }

    private void PutInfos(NbdOption option, ExportInfo info)
    {
        PutReply(option, OptionReply.Info, 12);
        PutUInt16((ushort)InfoType.Export);
        PutUInt64((ulong)info.SizeBytes);
        PutUInt16((ushort)RequestRules.FlagsOf(info, StructuredReplies));

        PutStringInfo(option, InfoType.Name, Encoding.UTF8.GetBytes(info.Name));
        PutStringInfo(option, InfoType.Description, ExportNames.Shorten(info.Description));

        PutReply(option, OptionReply.Info, 14);
        PutUInt16((ushort)InfoType.BlockSize);
        PutUInt32((uint)info.MinimumBlockBytes);
        PutUInt32((uint)info.PreferredBlockBytes);
        PutUInt32(NbdWire.MaxPayloadBytes);
    }

    private void PutStringInfo(NbdOption option, InfoType type, ReadOnlySpan<byte> text)
    {
        PutReply(option, OptionReply.Info, 2 + text.Length);
        PutUInt16((ushort)type);
        Put(text);
    }

    private void Choose(IExport export, ExportInfo info)
    {
        Export = export;
        Info = info;
    }
}
