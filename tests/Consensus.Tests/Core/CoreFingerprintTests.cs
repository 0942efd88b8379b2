using System.Collections;
using System.Reflection;
using RaftMirror.Consensus.Core;
using RaftMirror.Consensus.Messages;
using RaftMirror.Consensus.Model;
using RaftMirror.Primitives;
using static RaftMirror.Consensus.Tests.Core.CoreCluster;

namespace RaftMirror.Consensus.Tests.Core;

/// <summary>The explorer is worth no more than its copies and names of states: no field may be forgotten.</summary>
public sealed class CoreFingerprintTests
{
    private const BindingFlags Instance = BindingFlags.Instance | BindingFlags.Public | BindingFlags.NonPublic;

    private static readonly byte[] Names = [0, 1, 2, 3, 4];

    /// <summary>What is never changed and so may be shared.</summary>
    private static readonly Type[] Immutable = [typeof(RaftCoreOptions), typeof(Configuration), typeof(SnapshotMeta), typeof(Xoshiro)];

    /// <summary>Effects that were taken, and room for computing.</summary>
    private static readonly string[] Scratch = ["_ready", "_spare", "_scratch", "_sliced"];

    /// <summary>Not in the hash: time; what follows from other fields; a bound that no search reaches; what counts in another role.</summary>
    private static readonly string[] LeftOut =
    [
        "_now", "_electionDeadline", "_leaderContact", "_stickyUntil", "_heartbeatDue", "_ledSinceMs", "_leaseUntil", "_transferDeadline",
        "_digestAskedMs", "_selfSlot", "_uncommittedBytes", "_selfVoteSequence",
    ];

    [Fact]
    public void Clone_EveryField_IsCopied()
    {
        var core = BusyLeader();
        SetNumbers(core);
        AssertCopied(core, core.Clone(), nameof(RaftCore));
    }

    [Fact]
    public void Clone_OriginalGoesOn_IsNotTouched()
    {
        var core = BusyLeader();
        var clone = core.Clone();
        var before = Hash(clone);
        core.Step(new Message { Kind = MessageKind.AppendReply, From = Id(3), To = Id(1), Term = core.Term, Log = new EntryId(0, core.Log.LastIndex) });
        core.TakeReady();
        Assert.NotEqual(before, Hash(core));
        Assert.Equal(before, Hash(clone));
        clone.Step(new Message { Kind = MessageKind.AppendReply, From = Id(3), To = Id(1), Term = core.Term, Log = new EntryId(0, core.Log.LastIndex) });
        clone.TakeReady();
        Assert.Equal(Hash(core), Hash(clone));
    }

    [Fact]
    public void Hash_EveryNumber_Counts()
    {
        var before = Hash(BusyLeader());
        foreach (var field in typeof(RaftCore).GetFields(Instance))
        {
            var core = BusyLeader();
            if (LeftOut.Contains(field.Name) || !SetNumber(core, field)) continue;
            Assert.True(before != Hash(core), $"{field.Name} does not count");
        }
    }

    [Fact]
    public void Hash_OwnVoteOfACandidate_Counts()
    {
        var cluster = new CoreCluster(3);
        cluster.Skip(2000);
        cluster[1].Tick(cluster.NowMs);
        cluster[1].Step(new Message { Kind = MessageKind.PreVoteReply, From = Id(2), To = Id(1), Term = 1 });
        var ready = cluster[1].TakeReady();
        Assert.Equal(RaftRole.Candidate, cluster[1].Role);
        var before = Hash(cluster[1]);
        cluster[1].WriteDone(ready.Write!.Sequence);
        Assert.NotEqual(before, Hash(cluster[1]));
    }

    [Fact]
    public void Hash_TimeForgotten_DoesNotDependOnIt()
    {
        var core = BusyLeader();
        core.ForgetTime(1_000_000);
        var before = Hash(core);
        core.AdvanceClock(1_000_049);
        core.ForgetTime(1_000_000);
        Assert.Equal(before, Hash(core));
        core.Tick(1_000_049);
        Assert.Equal(before, Hash(core)); // No timer is due before a heartbeat's time.
    }

    private static UInt128 Hash(RaftCore core)
    {
        var hash = new StateHash();
        core.AddTo(ref hash, Names);
        return hash.Value;
    }

    /// <summary>A leader with something in each of its collections.</summary>
    private static RaftCore BusyLeader()
    {
        var cluster = new CoreCluster(3, new RaftCoreOptions { LeaseReads = true }, spares: 1);
        cluster.Elect(1);
        cluster.ChangeMembers(1, Change(MembershipAction.AddLearner, 4));
        cluster.Pass(100);
        cluster.TakeSnapshot(1);
        cluster[1].ReportDigest(1, 7);
        cluster.Nodes[0].Flushes = false;
        cluster.Loses = _ => true;
        cluster.Pass(350); // The lease ends.
        cluster.Propose(1);
        cluster[1].Read(5);
        cluster[1].Avoid([Id(3)]);
        Assert.Null(cluster[1].TransferLeadership(Id(2)));
        cluster.Settle();
        var core = cluster[1];
        Add(core, "_earlyReads", 3ul);
        return core;

        static void Add(RaftCore core, string field, ulong value) => ((List<ulong>)typeof(RaftCore).GetField(field, Instance)!.GetValue(core)!).Add(value);
    }

    private static void SetNumbers(object target)
    {
        foreach (var field in target.GetType().GetFields(Instance)) SetNumber(target, field);
    }

    /// <summary>Gives a field a value that it surely did not have.</summary>
    private static bool SetNumber(object target, FieldInfo field)
    {
        var value = field.GetValue(target);
        object? other = value switch
        {
            ulong number => number + 1_000_003,
            long number when number != long.MaxValue => number + 1_000_003,
            int number => number + 1,
            bool flag => !flag,
            RaftRole role => role == RaftRole.Leader ? RaftRole.Candidate : RaftRole.Leader,
            NodeId node => new NodeId((ushort)((node.Value + 1) % Names.Length)),
            _ => null,
        };
        if (other is null || field.Name.Contains("Self", StringComparison.Ordinal)) return false;
        field.SetValue(target, other);
        return true;
    }

    private static void AssertCopied(object? original, object? copy, string path)
    {
        if (original is null || original.GetType().IsValueType || original is string || Immutable.Contains(original.GetType()))
        {
            Assert.True(Equals(original, copy), $"{path}: {original} became {copy}");
            return;
        }

        Assert.False(ReferenceEquals(original, copy), $"{path} is shared");
        Assert.NotNull(copy);
        if (original is IEnumerable many)
        {
            object[] from = [.. many.Cast<object>()];
            object[] to = [.. ((IEnumerable)copy).Cast<object>()];
            if (path.StartsWith("RaftCore._", StringComparison.Ordinal) && path.Count(letter => letter == '.') == 1)
                Assert.True(from.Length > 0, $"{path} is empty: the test must fill it.");
            Assert.True(from.Length == to.Length, $"{path} has {from.Length} elements, its copy {to.Length}");
            for (var i = 0; i < from.Length; i++) AssertCopied(from[i], to[i], $"{path}[{i}]");
            return;
        }

        foreach (var field in original.GetType().GetFields(Instance))
        {
            if (!Scratch.Contains(field.Name)) AssertCopied(field.GetValue(original), field.GetValue(copy), $"{path}.{field.Name}");
        }
    }
}
