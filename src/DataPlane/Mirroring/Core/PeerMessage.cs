using RaftMirror.Primitives;

namespace RaftMirror.DataPlane.Mirroring.Core;

/// <summary>Kinds of messages between the mirror cores of one volume.</summary>
internal enum PeerMessageKind : byte
{
    /// <summary>End every write that exists now, then answer with the same sequence (design §14.9).</summary>
    DrainRequest = 1,
    DrainDone = 2,

    /// <summary>The full set of open windows of an owner epoch; the higher sequence wins.</summary>
    WindowAnnounce = 3,

    /// <summary>The announced set of that sequence is installed, and no overlapping leg I/O is under way.</summary>
    WindowAck = 4,

    /// <summary>Tell me your windows; I do not write before I know them.</summary>
    WindowQuery = 5,

    /// <summary>Repair an owed range, then answer with the same sequence.</summary>
    RepairRequest = 6,
    RepairDone = 7,

    /// <summary>List the writes that you have had for long. Sequence: when it was sent (the sender's clock); epoch: when the sender's having
    /// client connections changed last; index: 1 if it has some (ADR 0019).</summary>
    OrderQuestion = 8,

    /// <summary>The list; sequence as in the question, epoch and index of the answering node. Windows are the ranges, ages theirs.</summary>
    OrderAnswer = 9,
}

/// <summary>A message; fields that its kind does not use are zero. Each names both incarnations, so that nothing said to or
/// by a former life counts.</summary>
internal sealed record PeerMessage(
    PeerMessageKind Kind,
    uint Volume,
    ulong FromIncarnation,
    ulong ToIncarnation,
    ulong Epoch = 0,
    ulong Sequence = 0,
    ulong Index = 0,
    ByteRange Range = default,
    IReadOnlyList<ByteRange>? Windows = null,
    IReadOnlyList<long>? Ages = null);
