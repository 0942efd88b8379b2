using RaftMirror.DataPlane.Exports;
using RaftMirror.Primitives;

namespace RaftMirror.DataPlane.Nbd.Protocol;

/// <summary>The error numbers that are sent. The protocol allows 1, 5, 12, 22, 28, 75, 95 and 108; ENOMEM is never a
/// client's business, EOVERFLOW and ENOTSUP belong to features that are not offered, and for what ESHUTDOWN would say
/// the connection is dropped: clients retry that, an error they pass on.</summary>
internal enum NbdError : uint
{
    None = 0,
    NotPermitted = 1,
    IoError = 5,
    InvalidArgument = 22,
    NoSpace = 28,
}

/// <summary>Why a request was answered with an error.</summary>
internal enum NbdRefusal
{
    None,
    UnknownCommand,
    UnknownFlag,
    ReadOnly,
    PastEnd,
    WritePastEnd,
    Unaligned,
    TooLong,
    EmptyStatus,
    NoContext,
    RejectedByVolume,
    NoSpace,
    IoError,
}

/// <summary>The one table from results to what the client sees.</summary>
internal static class NbdErrors
{
    /// <summary>The refusal that a session's result means; <see cref="NbdRefusal.None"/> for success.</summary>
    /// <param name="status">Not <see cref="IoStatus.Drop"/>: that has no reply.</param>
    public static NbdRefusal FromStatus(IoStatus status) => status switch
    {
        IoStatus.Ok => NbdRefusal.None,
        IoStatus.InvalidArgument => NbdRefusal.RejectedByVolume,
        IoStatus.NoSpace => NbdRefusal.NoSpace,
        IoStatus.ReadOnly => NbdRefusal.ReadOnly,
        IoStatus.IoError => NbdRefusal.IoError,
        _ => throw new InvariantException($"{status} has no reply."),
    };

    /// <summary>The number on the wire.</summary>
    public static NbdError Number(NbdRefusal refusal) => refusal switch
    {
        NbdRefusal.None => NbdError.None,
        NbdRefusal.ReadOnly => NbdError.NotPermitted,
        NbdRefusal.WritePastEnd or NbdRefusal.NoSpace => NbdError.NoSpace,
        NbdRefusal.IoError => NbdError.IoError,
        _ => NbdError.InvalidArgument,
    };

    /// <summary>What people read, at most <see cref="ReplyEncoder.MaxTextBytes"/> of UTF-8, without addresses or paths.</summary>
    public static ReadOnlySpan<byte> Text(NbdRefusal refusal) => refusal switch
    {
        NbdRefusal.UnknownCommand => "unknown command"u8,
        NbdRefusal.UnknownFlag => "unknown flag, or a flag of another command"u8,
        NbdRefusal.ReadOnly => "the export is read-only"u8,
        NbdRefusal.PastEnd => "the range goes past the end of the export"u8,
        NbdRefusal.WritePastEnd => "the write goes past the end of the export"u8,
        NbdRefusal.Unaligned => "offset and length must be multiples of the minimum block size"u8,
        NbdRefusal.TooLong => "longer than the maximum block size of 32 MiB"u8,
        NbdRefusal.EmptyStatus => "a status request needs a length"u8,
        NbdRefusal.NoContext => "no metadata context was selected for this export"u8,
        NbdRefusal.RejectedByVolume => "the volume rejected the range"u8,
        NbdRefusal.NoSpace => "no space left"u8,
        NbdRefusal.IoError => "no disk of the mirror can give or take the data"u8,
        _ => ""u8,
    };
}
