using System.Numerics;

namespace RaftMirror.Consensus.Model;

/// <summary>128 bits over a sequence of numbers: the name of a state for the explorer, so that two states of millions share one by chance
/// with odds below 10^-24. Not for anything that an adversary chooses.</summary>
internal struct StateHash
{
    private ulong _a = 0x243F6A8885A308D3;
    private ulong _b = 0x13198A2E03707344;

    public StateHash()
    {
    }

    /// <summary>The value; goes on being usable.</summary>
    public readonly UInt128 Value => new(Mix(_a + BitOperations.RotateLeft(_b, 17)), Mix(_b ^ (_a * 0x9E3779B97F4A7C15)));

    public void Add(ulong value)
    {
        _a = BitOperations.RotateLeft((_a ^ value) * 0x9E3779B97F4A7C15, 29) + 0x52DCE729;
        _b = BitOperations.RotateLeft((_b + value) * 0xC2B2AE3D27D4EB4F, 31) ^ _a;
    }

    public void Add(bool value) => Add(value ? 1ul : 0ul);

    public void Add(UInt128 value)
    {
        Add((ulong)value);
        Add((ulong)(value >> 64));
    }

    public void Add(EntryId id)
    {
        Add(id.Term);
        Add(id.Index);
    }

    public void Add(in LogEntry entry)
    {
        Add(entry.Id);
        Add((ulong)entry.Type);
        Add((ulong)entry.Payload.Length);
        foreach (var value in entry.Payload.Span) Add(value);
    }

    private static ulong Mix(ulong value)
    {
        value = (value ^ (value >> 30)) * 0xBF58476D1CE4E5B9;
        value = (value ^ (value >> 27)) * 0x94D049BB133111EB;
        return value ^ (value >> 31);
    }
}
