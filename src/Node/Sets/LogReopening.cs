using RaftMirror.ControlPlane.Model;
using RaftMirror.Node.State;

namespace RaftMirror.Node.Sets;

/// <summary>When this node gives its dirty log up to open one on more disks (design §9, §14.17): the log was opened while a disk was missing, or
/// left one that was slow. The step is that of a log that fails: writes end, the slot is sealed and merged, a new one is committed, and
/// then writes go on; so no acknowledged write is without a log. They wait meanwhile, so it is not done more often than it helps.
/// The duty runner's thread.</summary>
internal sealed class LogReopening(NodeIdentity self)
{
    /// <summary>For people.</summary>
    public const string Why = "the log is opened anew, since it may lie on one more disk now";

    /// <summary>How long a log must have been able to lie on more disks, the first time, beyond the time after which a disk that hangs is lost;
    /// twice as long each time after.</summary>
    public static readonly TimeSpan FirstWait = TimeSpan.FromSeconds(5);

    private static readonly TimeSpan Apart = TimeSpan.FromSeconds(2);

    private const int MostDoublings = 6; // Some ten minutes.
    private readonly Dictionary<string, (ulong Generation, long SinceMs, int Times)> _waits = new(StringComparer.Ordinal);

    /// <summary>True if the log is to be given up now.</summary>
    /// <param name="state">Applied state.</param>
    /// <param name="set">A set that this incarnation has joined.</param>
    /// <param name="member">This node in it.</param>
    /// <param name="areDisksFine">Whether all disks of the set that this node uses answer as they should.</param>
    public bool IsDue(ClusterState state, SetState set, MemberState member, Func<bool> areDisksFine)
    {
        var now = Environment.TickCount64;
        var (generation, since, times) = _waits.GetValueOrDefault(set.Name);
        if (!LogRules.MayLieOnMore(state, set, member, self.Incarnation) || !areDisksFine())
        {
            if (since != 0) _waits[set.Name] = (generation, 0, times); // A disk that comes and goes is not believed to be there.
            return false;
        }

        if (since == 0 || generation != member.SlotGeneration)
        {
            _waits[set.Name] = (member.SlotGeneration, now, generation != 0 && generation != member.SlotGeneration ? times + 1 : times);
            return false;
        }

        // One node after the other, as a rule: writes wait on the one that does it.
        var first = set.DeviceTimeoutMs + FirstWait.TotalMilliseconds + (Apart.TotalMilliseconds * member.SlotNumber);
        return now - since >= first * (1 << Math.Min(times, MostDoublings));
    }
}
