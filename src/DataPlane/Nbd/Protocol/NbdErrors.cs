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
internal enum Refusal
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
    /// <summary>The refusal that a session's result means; <see cref="Refusal.None"/> for success.</summary>
    /// <param name="status">Not <see cref="IoStatus.Drop"/>: that has no reply.</param>
    public static Refusal FromStatus(IoStatus status) => status switch
    {
        IoStatus.Ok => Refusal.None,
        IoStatus.InvalidArgument => Refusal.RejectedByVolume,
        IoStatus.NoSpace => Refusal.NoSpace,
        IoStatus.ReadOnly => Refusal.ReadOnly,
        IoStatus.IoError => Refusal.IoError,
        _ => throw new InvariantException($"{status} has no reply."),
    };

    /// <summary>The number on the wire.</summary>
    public static NbdError Number(Refusal refusal) => refusal switch
    {
        Refusal.None => NbdError.None,
        Refusal.ReadOnly => NbdError.NotPermitted,
        Refusal.WritePastEnd or Refusal.NoSpace => NbdError.NoSpace,
        Refusal.IoError => NbdError.IoError,
        _ => NbdError.InvalidArgument,
    };

    /// <summary>What people read, at most <see cref="ReplyEncoder.MaxTextBytes"/> of UTF-8, without addresses or paths.</summary>
    public static ReadOnlySpan<byte> Text(Refusal refusal) => refusal switch
    {
        Refusal.UnknownCommand => "unknown command"u8,
        Refusal.UnknownFlag => "unknown flag, or a flag of another command"u8,
        Refusal.ReadOnly => "the export is read-only"u8,
        Refusal.PastEnd => "the range goes past the end of the export"u8,
        Refusal.WritePastEnd => "the write goes past the end of the export"u8,
        Refusal.Unaligned => "offset and length must be multiples of the minimum block size"u8,
        Refusal.TooLong => "longer than the maximum block size of 32 MiB"u8,
        Refusal.EmptyStatus => "a status request needs a length"u8,
        Refusal.NoContext => "no metadata context was selected for this export"u8,
        Refusal.RejectedByVolume => "the volume rejected the range"u8,
        Refusal.NoSpace => "no space left"u8,
        Refusal.IoError => "no disk of the mirror can give or take the data"u8,
        _ => ""u8,
    };
}
