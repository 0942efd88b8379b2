using System.Buffers.Binary;
using System.Text;
using RaftMirror.Primitives;

namespace RaftMirror.Consensus.Model;

/// <summary>
/// A configuration as bytes, little-endian: the payload of entries of type <see cref="EntryType.Configuration"/>, and part of snapshots.
/// Canonical: equal configurations give equal bytes, and whatever decodes encodes to the same bytes again. Pure, any thread.
/// <code>
///   0  1 format, 1   1  1 zero   2  2 next id   4  2 voters   6  2 outgoing voters   8  2 learners   10  2 members
/// then 2 bytes per voter, outgoing voter and learner, each list ascending; then per member, ascending:
///   0  2 id          2  1 priority   3  1 zero    4  2 bytes of the name   6  2 bytes of the address, name, address (UTF-8)
/// </code>
/// </summary>
internal static class ConfigurationCodec
{
    /// <summary>Longest name, UTF-8: 64 characters of 4 bytes.</summary>
    public const int MaxNameBytes = 256;

    /// <summary>Longest address, UTF-8: a DNS name of 255 bytes with a port, and room.</summary>
    public const int MaxAddressBytes = 512;

    private const byte Format = 1;
    private const int HeaderBytes = 12;
    private const int MemberBytes = 8;

    /// <summary>Refuses what is no UTF-8, instead of replacing it: else two different inputs were the same configuration.</summary>
    private static readonly UTF8Encoding Utf8 = new(encoderShouldEmitUTF8Identifier: false, throwOnInvalidBytes: true);

    /// <summary>Encodes a configuration.</summary>
    /// <exception cref="InvariantException">Names or addresses are too long, or nobody would vote after a joint configuration:
    /// whoever proposed it must have refused it.</exception>
    public static byte[] Encode(Configuration configuration)
    {
        Invariant.Require(!configuration.IsJoint || configuration.Voters.Length > 0, "A joint configuration leads to one that has voters.");
        var ids = configuration.Voters.Length + configuration.OutgoingVoters.Length + configuration.Learners.Length;
        var length = HeaderBytes + (2 * ids);
        foreach (var member in configuration.Details)
            length += MemberBytes + Utf8.GetByteCount(member.Name) + Utf8.GetByteCount(member.Address);

        var bytes = new byte[length];
        bytes[0] = Format;
        BinaryPrimitives.WriteUInt16LittleEndian(bytes.AsSpan(2), configuration.NextId);
        BinaryPrimitives.WriteUInt16LittleEndian(bytes.AsSpan(4), (ushort)configuration.Voters.Length);
        BinaryPrimitives.WriteUInt16LittleEndian(bytes.AsSpan(6), (ushort)configuration.OutgoingVoters.Length);
        BinaryPrimitives.WriteUInt16LittleEndian(bytes.AsSpan(8), (ushort)configuration.Learners.Length);
        BinaryPrimitives.WriteUInt16LittleEndian(bytes.AsSpan(10), (ushort)configuration.Members.Length);
        var rest = bytes.AsSpan(HeaderBytes);
        rest = WriteIds(rest, configuration.Voters);
        rest = WriteIds(rest, configuration.OutgoingVoters);
        rest = WriteIds(rest, configuration.Learners);
        foreach (var member in configuration.Details) rest = WriteMember(rest, member);
        Invariant.Require(rest.Length == 0, "The length was computed from the same values.");
        return bytes;
    }

    /// <summary>True if the member's name and address fit. What an operator sends is checked by this before it is proposed.</summary>
    public static bool CanEncode(Member member)
    {
        try
        {
            return Utf8.GetByteCount(member.Name) <= MaxNameBytes && Utf8.GetByteCount(member.Address) <= MaxAddressBytes;
        }
        catch (EncoderFallbackException)
        {
            return false;
        }
    }

    /// <summary>Decodes bytes of a log, a snapshot or a peer. Nothing in them is believed.</summary>
    /// <param name="data">One configuration, no more. Copied.</param>
    /// <param name="configuration">The configuration, if sound.</param>
    /// <returns>Null, or what is wrong.</returns>
    public static string? TryDecode(ReadOnlySpan<byte> data, out Configuration configuration)
    {
        configuration = Configuration.Empty;
        if (data.Length < HeaderBytes) return "a configuration is cut short";
        if (data[0] != Format) return $"unknown configuration format {data[0]}";
        if (data[1] != 0) return "a reserved byte of a configuration is not zero";
        var nextId = BinaryPrimitives.ReadUInt16LittleEndian(data[2..]);
        var voters = new NodeId[BinaryPrimitives.ReadUInt16LittleEndian(data[4..])];
        var outgoing = new NodeId[BinaryPrimitives.ReadUInt16LittleEndian(data[6..])];
        var learners = new NodeId[BinaryPrimitives.ReadUInt16LittleEndian(data[8..])];
        var members = new Member[BinaryPrimitives.ReadUInt16LittleEndian(data[10..])];
        var ids = voters.Length + outgoing.Length + learners.Length;
        data = data[HeaderBytes..];
        if (members.Length > ids) return "more members than places for them";
        if (data.Length < (2 * ids) + (MemberBytes * members.Length)) return "a configuration is cut short";
        var error = ReadIds(ref data, voters) ?? ReadIds(ref data, outgoing) ?? ReadIds(ref data, learners);
        for (var i = 0; error is null && i < members.Length; i++) error = ReadMember(ref data, members, i);
        if (error is not null) return error;
        if (data.Length > 0) return "bytes follow a configuration";
        if (outgoing.Length > 0 && voters.Length == 0) return "a joint configuration leads to one without voters";
        if (learners.Any(id => Array.BinarySearch(voters, id) >= 0)) return "a learner is a voter, too";
        NodeId[] expected = [.. voters.Concat(outgoing).Concat(learners).Distinct().Order()];
        if (!expected.SequenceEqual(members.Select(member => member.Id))) return "the list of members is not that of the voters and learners";
        if (nextId <= (expected.Length == 0 ? 0 : expected[^1].Value)) return "the next id was given already";
        configuration = new Configuration(voters, outgoing, learners, members, nextId);
        return null;
    }

    private static Span<byte> WriteIds(Span<byte> buffer, NodeId[] ids)
    {
        for (var i = 0; i < ids.Length; i++) BinaryPrimitives.WriteUInt16LittleEndian(buffer[(2 * i)..], ids[i].Value);
        return buffer[(2 * ids.Length)..];
    }

    private static Span<byte> WriteMember(Span<byte> buffer, Member member)
    {
        var name = Utf8.GetBytes(member.Name, buffer[MemberBytes..]);
        var address = Utf8.GetBytes(member.Address, buffer[(MemberBytes + name)..]);
        Invariant.Require(name <= MaxNameBytes && address <= MaxAddressBytes, "The proposer of a member checks name and address.");
        BinaryPrimitives.WriteUInt16LittleEndian(buffer, member.Id.Value);
        buffer[2] = member.Priority;
        BinaryPrimitives.WriteUInt16LittleEndian(buffer[4..], (ushort)name);
        BinaryPrimitives.WriteUInt16LittleEndian(buffer[6..], (ushort)address);
        return buffer[(MemberBytes + name + address)..];
    }

    private static string? ReadIds(ref ReadOnlySpan<byte> data, NodeId[] ids)
    {
        for (var i = 0; i < ids.Length; i++)
        {
            ids[i] = new NodeId(BinaryPrimitives.ReadUInt16LittleEndian(data[(2 * i)..]));
            if (ids[i].Value is 0 or ushort.MaxValue) return $"{ids[i]} is no node id"; // The last one would leave no next id.
            if (i > 0 && ids[i].CompareTo(ids[i - 1]) <= 0) return "node ids are not in ascending order";
        }

        data = data[(2 * ids.Length)..];
        return null;
    }

    private static string? ReadMember(ref ReadOnlySpan<byte> data, Member[] members, int slot)
    {
        if (data.Length < MemberBytes) return "a configuration is cut short";
        if (data[3] != 0) return "a reserved byte of a member is not zero";
        var name = BinaryPrimitives.ReadUInt16LittleEndian(data[4..]);
        var address = BinaryPrimitives.ReadUInt16LittleEndian(data[6..]);
        if (name > MaxNameBytes || address > MaxAddressBytes) return "a member's name or address is too long";
        if (data.Length < MemberBytes + name + address) return "a configuration is cut short";
        try
        {
            members[slot] = new Member(
                new NodeId(BinaryPrimitives.ReadUInt16LittleEndian(data)),
                Utf8.GetString(data.Slice(MemberBytes, name)),
                Utf8.GetString(data.Slice(MemberBytes + name, address)),
                data[2]);
        }
        catch (DecoderFallbackException)
        {
            return "a member's name or address is no UTF-8";
        }

        data = data[(MemberBytes + name + address)..];
        return null;
    }
}
