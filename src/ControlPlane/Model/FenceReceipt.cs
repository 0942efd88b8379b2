namespace RaftMirror.ControlPlane.Model;

/// <summary>Why an incarnation can do no more I/O (design §6.4).</summary>
/// <param name="Method">"lease": the horizon passed.</param>
/// <param name="Leader">The node that waited.</param>
/// <param name="Term">Its leadership epoch.</param>
/// <param name="WaitedMs">From the last grant, or the start of that leadership, to the proposal.</param>
/// <param name="HorizonMs">What had to be waited.</param>
/// <param name="SuspectedMs">From seeing the suspicion applied to the proposal.</param>
/// <param name="SuspectedAtIndex">Log index of that suspicion. The receipt proves nothing about a later one: a lease may have been
/// granted in between.</param>
public sealed record FenceReceipt(
    string Method, string Leader, ulong Term, long WaitedMs, long HorizonMs, long SuspectedMs, ulong SuspectedAtIndex);
