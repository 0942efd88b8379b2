using RaftMirror.Consensus.Core;
using RaftMirror.Consensus.Model;

namespace RaftMirror.Simulation.Harness;

/// <content>Clients: on any node, which forwards to whom it takes for the leader.</content>
internal sealed partial class ClusterSimulation
{
    private const ulong MaxUncommitted = 256;
    private const int GiveUpAfterMs = 3000;

    private void ProposeSomewhere()
    {
        var picked = PickUp();

        // Who is no member any more never applies, so never answers.
        if (_isHealed && picked is not null && _checker.Members.SlotOf(picked.Id) < 0) picked = Leading();
        if (picked is not { IsPaused: false } node || node.IsQuarantined) return;
        if (!_workload.IsElastic && (_isResting || node.Core!.Role != RaftRole.Leader)) return;
        if (_workload.NextCommand(node.Id, _random) is not { } command) return;
        if (!_workload.IsElastic)
        {
            Propose(node, command, expectedTerm: null);
            return;
        }

        var id = new ProposalId(node.Id.Value, node.Incarnation, ++node.ProposalSequence);
        node.Proposals.Add(id.Sequence, command);
        var core = node.Core;
        At(GiveUpAfterMs, () =>
        {
            if (ReferenceEquals(node.Core, core) && node.Proposals.Remove(id.Sequence)) _workload.Unknown(command);
        });
        if (node.Core!.Role == RaftRole.Leader) Append(node, id, command, expectedTerm: null);
        else if (node.Core.Leader is { } leader && leader != node.Id) Carry(node.Id, leader, it => Append(it, id, command, expectedTerm: null));
    }

    private bool Propose(SimNode node, ReadOnlyMemory<byte> command, ulong? expectedTerm)
    {
        var id = new ProposalId(node.Id.Value, node.Incarnation, ++node.ProposalSequence);
        node.Proposals.Add(id.Sequence, command);
        var isTaken = Append(node, id, command, expectedTerm);
        if (!isTaken && !node.IsPaused) node.Proposals.Remove(id.Sequence);
        return isTaken;
    }

    private bool Append(SimNode node, ProposalId id, ReadOnlyMemory<byte> command, ulong? expectedTerm)
    {
        // Real proposers wait for their answers. Without that bound a slow network's backlog grows for ever, and a cluster that is
        // healed never comes to rest.
        if (node.Core is { } busy && busy.Log.LastIndex - busy.Commit > MaxUncommitted) return false;
        var isTaken = false;
        Step(node, core =>
        {
            isTaken = core.Propose([(id, command)], expectedTerm, out _) == ProposalRefusal.None;
            if (isTaken) _checker.Proposed(core);
        });
        return isTaken;
    }

    private void ReadSomewhere()
    {
        // Where old echoes make a leader believe on, its clients are the ones that could be misled.
        var staysWithLeader = _parameters.LateEchoChance > 0 && !_isHealed && _random.Chance(0.7);
        if ((staysWithLeader ? Leading() : PickUp()) is not { IsPaused: false } node || node.IsQuarantined) return;
        if (_workload.IsElastic || node.Core!.Role == RaftRole.Leader) BeginRead(node, confirmed: null);
    }

    private void BeginRead(SimNode node, Action? confirmed)
    {
        var floor = _checker.AcknowledgedIndex;
        var check = _workload.ReadBegun(_random);
        var core = node.Core;
        void Confirmed(ulong index)
        {
            if (!ReferenceEquals(node.Core, core)) return;
            Reads++;
            ClusterChecker.ReadConfirmed(node, floor, index);
            node.WaitingReads.Add((index, () =>
            {
                if (!node.IsCorrupt) check?.Invoke(node.StateMachine!);
                confirmed?.Invoke();
            }
            ));
            ServeReads(node);
        }

        if (core?.Role == RaftRole.Leader) Ask(node, Confirmed);
        else if (_workload.IsElastic && core?.Leader is { } leader && leader != node.Id)
            Carry(node.Id, leader, it => Ask(it, index => Carry(it.Id, node.Id, _ => Confirmed(index))));
        else if (!_workload.IsElastic) Ask(node, Confirmed);
    }

    /// <summary>Asks a leader's core. The clock that it goes by may have been read a while ago, a pause lying between; so it is looked at
    /// again once there is an answer.</summary>
    private void Ask(SimNode node, Action<ulong> confirmed)
    {
        var token = ++node.ReadToken;
        node.Reads.Add(token, state =>
        {
            if (state.Refusal != ProposalRefusal.None) return;
            if (state.ValidUntilMs >= node.LocalTime(_now)) confirmed(state.Index);
            else At(0, () => AskAgain(node, confirmed));
        });
        Step(node, core => core.Read(token), readsClock: !_parameters.LeaseReads || _random.Chance(0.5));
    }

    private void AskAgain(SimNode node, Action<ulong> confirmed)
    {
        if (node.Core?.Role == RaftRole.Leader) Ask(node, confirmed);
    }

    private void ServeReads(SimNode node)
    {
        if (node.WaitingReads.Count == 0) return;
        var core = node.Core;
        for (var i = node.WaitingReads.Count - 1; i >= 0; i--)
        {
            var (index, serve) = node.WaitingReads[i];
            if (index > node.Applied) continue;
            node.WaitingReads.RemoveAt(i);
            At(0, () => Resumed(node, core!, serve));
        }
    }
}
