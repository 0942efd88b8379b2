using RaftMirror.DataPlane.Configuration;
using RaftMirror.DataPlane.Devices;
using RaftMirror.DataPlane.Exports;

namespace RaftMirror.DataPlane.Mirroring.Core;

// Writes that legs have no space for (design §14.22). Evening out: the range's legs are compared under the write's own lock and marks, and made
// equal from whichever readable leg that works: its bytes fit where others took new ones. Old or new, either is right for a write that failed.
internal sealed partial class MirrorCore
{
    /// <summary>When a client was last told that there is no space, and on which disks; null if never.</summary>
    public (long AtNs, string Disks, int Errno)? LastNoSpace { get; private set; }

    /// <summary>An evening out ended.</summary>
    /// <param name="now">Time.</param>
    /// <param name="operationId">From the effect.</param>
    /// <param name="result">Leg and disk are those that could not be made equal.</param>
    public void EvenedOut(long now, ulong operationId, CopyResult result)
    {
        _now = now;
        var operation = EndOfAllLegs(operationId);
        if (result.Status == DeviceStatus.Fenced && !result.IsLeaseLost) FenceSelf(Refusal(result.Disk));
        else if (result.Status != DeviceStatus.Ok && !result.IsLeaseLost) EveningFailed(operation, result);

        if (operation.Kind == RequestKind.Copy)
        {
            EndCopyAttempt(operation, result);
        }
        else
        {
            operation.IsEvened = result.Status == DeviceStatus.Ok && !result.IsLeaseLost;
            operation.State = OperationState.AwaitingLeg;
            Resolve(operation);
        }

        _reconsider = true;
        Finish();
    }

    /// <summary>The only source is not lost for what others lack: then they are.</summary>
    private void EveningFailed(Operation operation, CopyResult result)
    {
        var blamed = operation.Legs[result.Leg]!;
        for (var i = 0; i < operation.LegCount; i++)
        {
            var leg = operation.Legs[i]!;
            if (blamed.State == LegState.LastErred ? leg != blamed : leg == blamed)
                LegFailed(leg, leg == blamed ? result.Disk! : leg.ExtentAt(operation.Range.Start).Disk, result.Status, lacksData: true, result.Errno,
                    leg == blamed ? result.Place : default);
        }
    }

    private static FullVerdict JudgeFull(Operation operation) => JudgeFull(operation, out _);

    private static FullVerdict JudgeFull(Operation operation, out Leg? holder)
    {
        Span<LegOutcome> outcomes = stackalloc LegOutcome[Operation.MaxLegs];
        for (var i = 0; i < operation.LegCount; i++)
            outcomes[i] = new LegOutcome(operation.Status[i], operation.Legs[i]!.IsReadable, operation.Legs[i]!.IsWritable, operation.Space[i]);
        var at = FullLegs.HolderOf(outcomes[..operation.LegCount]);
        holder = at < 0 ? null : operation.Legs[at];
        return FullLegs.Judge(outcomes[..operation.LegCount]);
    }

    /// <summary>Reports full legs as lost, once, if the write stands elsewhere. From then on they are legs that failed.</summary>
    private void LoseFullLegs(Operation operation)
    {
        if (operation.IsFullReported || !operation.IsClientWrite || JudgeFull(operation, out var holder) != FullVerdict.FullLegsAreLost) return;
        operation.IsFullReported = true;
        for (var i = 0; i < operation.LegCount; i++)
        {
            if (operation.Status[i] == DeviceStatus.NoSpace)
                LegFailed(operation.Legs[i]!, FullDiskOf(operation, operation.Legs[i]!), DeviceStatus.NoSpace, lacksData: true, operation.FullErrno, heldBy: holder!.Name);
        }
    }

    /// <summary>A leg that is full was reported for the sake of one that is itself gone now: nobody may have the bytes. Such a report is taken
    /// back, and the writes that it was made for are judged anew on the legs as they are.</summary>
    private void JudgeFullAnew()
    {
        var isAnew = false;
        foreach (var leg in _legs)
        {
            if (leg.Failure?.HeldBy is not { } holder || IsReadableLeg(holder)) continue;
            leg.Failure = null;
            isAnew = true;
        }

        if (!isAnew) return;
        foreach (var operation in _operations.Values) operation.IsFullReported = false; // Each by itself: no order matters.
    }

    private bool IsReadableLeg(string name)
    {
        foreach (var leg in _legs)
        {
            if (leg.Name == name) return leg.IsReadable;
        }

        return false;
    }

    /// <summary>The operation remembers one disk; of several legs that are full each is lost by a disk of its own.</summary>
    private static string FullDiskOf(Operation operation, Leg leg)
    {
        foreach (var extent in leg.Extents)
        {
            if (extent.Disk == operation.FullDisk) return extent.Disk;
        }

        return leg.ExtentAt(operation.Range.Start).Disk;
    }

    /// <summary>Tells the client that there is no space, once the legs are even. Failed legs are settled by then.</summary>
    private void RefuseForSpace(Operation operation)
    {
        if (!operation.IsEvened && CountWritable() > 1 && !Has(MirrorFaults.LeaveUneven))
        {
            SubmitEvening(operation);
            return;
        }

        // They are equal again, whatever an earlier try left behind.
        _taints.RemoveAll(taint => operation.Range.Contains(taint.Range));
        LastNoSpace = (_now, operation.FullDisk!, operation.FullErrno);
        ReleaseHolds(operation);
        End(operation, IoStatus.NoSpace);
    }

    private int CountWritable()
    {
        var count = 0;
        foreach (var leg in _legs)
        {
            if (leg.IsWritable) count++;
        }

        return count;
    }

    /// <summary>Readable legs first: only they may give.</summary>
    private void SubmitEvening(Operation operation)
    {
        operation.State = OperationState.Evening;
        operation.LegCount = 0;
        foreach (var leg in _legs)
        {
            if (leg.IsReadable) AddLeg(operation, leg);
        }

        var sources = operation.LegCount;
        foreach (var leg in _legs)
        {
            if (leg is { IsWritable: true, IsReadable: false }) AddLeg(operation, leg);
        }

        var parts = new List<IReadOnlyList<LegPart>>(operation.LegCount);
        for (var i = 0; i < operation.LegCount; i++)
        {
            // What was said of the write itself: no leg has the bytes for sure.
            operation.Status[i] = DeviceStatus.NoSpace;
            Count(operation, i);
            parts.Add(PartsOf(operation.Legs[i]!, operation.Range));
        }

        Emit(new MirrorEffect(EffectKind.EvenOut, operation.Id, Range: operation.Range, Payload: new EvenOutPlan(operation.Range, parts, sources), Request: operation.RequestId));
    }
}
