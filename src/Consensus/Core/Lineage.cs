using System.Buffers.Binary;
using RaftMirror.Consensus.Model;

namespace RaftMirror.Consensus.Core;

/// <summary>
/// Which process led in which term, as the log says: each leader's first entry carries its start. A node that was put back may vote twice, and so a
/// term may have two leaders: then equal terms and indices are no proof of equal entries any more (design §14.24). Of terms whose
/// first entry is gone from the log nothing is known.
/// </summary>
internal sealed class Lineage
{
    private readonly List<(ulong Term, ulong Index, ulong Start)> _terms = [];

    public static byte[] Encode(ulong start)
    {
        var bytes = new byte[8];
        BinaryPrimitives.WriteUInt64LittleEndian(bytes, start);
        return bytes;
    }

    /// <summary>An entry is in the log.</summary>
    public void Append(in LogEntry entry)
    {
        if (entry.Type == EntryType.Noop && entry.Payload.Length == 8) _terms.Add((entry.Term, entry.Index, StartIn(entry)));
    }

    public void TruncateFrom(ulong index) => _terms.RemoveAll(known => known.Index >= index);

    public void Clear() => _terms.Clear();

    /// <summary>The start of a term's leader; 0 if it is not known.</summary>
    public ulong LeaderOf(ulong term)
    {
        for (var i = _terms.Count - 1; i >= 0 && _terms[i].Term >= term; i--)
        {
            if (_terms[i].Term == term) return _terms[i].Start;
        }

        return 0;
    }

    /// <summary>True if both are known, and differ.</summary>
    public bool Differs(ulong term, ulong start) => start != 0 && LeaderOf(term) is var own && own != 0 && own != start;

    /// <summary>True if the entry is a leader's first one, and another process's than known for its term.</summary>
    public bool Differs(in LogEntry entry) => entry.Type == EntryType.Noop && entry.Payload.Length == 8 && Differs(entry.Term, StartIn(entry));

    private static ulong StartIn(in LogEntry entry) => BinaryPrimitives.ReadUInt64LittleEndian(entry.Payload.Span);
}
