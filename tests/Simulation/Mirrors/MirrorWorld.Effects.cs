using RaftMirror.DataPlane.Configuration;
using RaftMirror.DataPlane.Devices;
using RaftMirror.DataPlane.DirtyRegions.Core;
using RaftMirror.DataPlane.Mirroring.Core;
using RaftMirror.Primitives;

namespace RaftMirror.Simulation.Mirrors;

// The shell's part: leg I/O, logs, messages, reports; with the checks that belong to each.
internal sealed partial class MirrorWorld
{
    private void CarryOut(SimNode node)
    {
        var effects = node.Core.Effects.ToArray();
        node.Core.Effects.Clear();
        foreach (var effect in effects) CarryOut(node, effect);
    }

    private void CarryOut(SimNode node, MirrorEffect effect)
    {
        var life = node.Incarnation;
        switch (effect.Kind)
        {
            case EffectKind.LegRead or EffectKind.LegWrite or EffectKind.LegZero or EffectKind.LegFlush:
                SubmitIo(node, effect);
                break;
            case EffectKind.Copy:
                SubmitCopy(node, effect);
                break;
            case EffectKind.EvenOut:
                SubmitEvening(node, effect);
                break;
            case EffectKind.GiveUp:
                GiveUp(node, effect);
                break;
            case EffectKind.AppendMarks:
                node.LogBusyUntilNs = Math.Max(node.LogBusyUntilNs, Now) + ((1 + _random.Next(8)) * Ms / 2);
                node.Appends.Enqueue((node.LogBusyUntilNs, () => Append(node, life, effect)));
                At(node.LogBusyUntilNs, () => AppendWhatIsDue(node), "append");
                break;
            case EffectKind.Reply:
                Replied(node, effect);
                break;
            case EffectKind.Send:
                var message = (PeerMessage)effect.Payload!;
                var to = Node(effect.Name!);
                Log($"{node.Name} -> {to.Name} {message.Kind} e{message.Epoch} s{message.Sequence}");
                Message(() =>
                {
                    if (!IsCut(node.Name, to.Name)) OnNode(to, to.Incarnation, () => Received(to, node.Name, message));
                });
                break;
            case EffectKind.SessionAdmitted:
                Admitted(node, (uint)effect.Id);
                break;
            case EffectKind.DropClients:
            case EffectKind.Fenced:
                // The daemon ends with its incarnation and comes back with a new one.
                if (node.IsAlive) Kill(node);
                break;
            case EffectKind.Drained:
                break;
            default:
                if (effect.Kind == EffectKind.Released) CheckReleased(node.Name);
                Log($"{node.Name} {effect.Kind} {effect.Id} {effect.Payload}");
                Message(() => Report(node.Name, life, effect));
                break;
        }
    }

    private void Report(string node, ulong life, MirrorEffect effect)
    {
        if (_control.Member(node).Incarnation != life || _control.Member(node).State != MemberPhase.Up) return;
        switch (effect.Kind)
        {
            case EffectKind.RequestOwnership:
                _control.RequestOwnership(node, life, effect.Id);
                break;
            case EffectKind.Released:
                _control.Released(node, (ReleaseReport)effect.Payload!);
                break;
            case EffectKind.LegFailed:
                _control.LegFailed(node, (LegFailureReport)effect.Payload!);
                break;
            case EffectKind.ConfirmBarrier:
                _control.BarrierConfirmed(node, effect.Id, effect.Payload as IReadOnlyList<ByteRange> ?? []);
                break;
            case EffectKind.ResyncFinished:
                _control.ResyncFinished(node, (ResyncFinishedReport)effect.Payload!);
                break;
            case EffectKind.ResyncProgressed:
                _control.ResyncProgressed(node, (ResyncProgressReport)effect.Payload!);
                break;
        }
    }

    private void Append(SimNode node, ulong life, MirrorEffect effect)
    {
        // Durable whether or not the node lives to hear of it.
        foreach (var update in (RegionUpdate[])effect.Payload!)
        {
            var slot = node.Slots[life];
            if (update.IsDirty)
            {
                slot.Add(update.Region);
            }
            else
            {
                CheckClean(node, life, update.Region);
                slot.Remove(update.Region);
            }
        }

        if (!node.IsAlive || node.Incarnation != life) return;
        node.AppendAnswers.Durable(
            effect.Id, step => OnNode(node, life, step), token => node.Core.MarksAppended(Now, token, isDurable: true));
    }

    private long IoDelay() => (_random.Chance(0.03) ? _random.Next(150) : 1 + _random.Next(6)) * Ms;

    /// <summary>The thread that makes the call may be late; what it checks it checks then.</summary>
    private void SubmitIo(SimNode node, MirrorEffect effect)
    {
        var life = node.Incarnation;
        var request = effect.Request == 0 ? null : node.Mailbox[effect.Request];
        if (!_random.Chance(_stalls))
        {
            CallDevice(node, effect, request);
            return;
        }

        _lateCalls++;
        After(_random.Next(300) * Ms, () =>
        {
            _lateCalls--;
            OnNode(node, life, () => CallDevice(node, effect, request));
        }, "late call");
    }

    private void CallDevice(SimNode node, MirrorEffect effect, OpenRequest? request)
    {
        var life = node.Incarnation;
        if (Now >= node.Core.LeaseExpiresNs && (_faults & MirrorFaults.IgnoreLease) == 0)
        {
            node.LapsedNs = Now;
            if (request is not null) request.FailedNs = Now;
            After(1, () => OnNode(node, life, () => node.Core.IoCompleted(
                Now, effect.Id, effect.Leg, DeviceStatus.IoError, effect.Name!, isLeaseLost: true)), "lease");
            return;
        }

        var disk = DiskOf(node, effect.Name!);
        var isWrite = effect.Kind is EffectKind.LegWrite or EffectKind.LegZero;
        var range = new ByteRange(effect.Range.Start / BlockBytes, effect.Range.Length / BlockBytes);
        var io = new SimIo
        {
            Node = node.Name,
            Incarnation = life,
            Disk = disk,
            Blocks = range,
            IsCopy = false,
            IsWrite = isWrite,
            SubmittedNs = Now,
            Operation = (effect.Id, effect.Leg),
            Request = request,
            Remaining = (int)range.Length,
        };
        if (isWrite) CheckWrite(node, io);
        else if (effect.Kind == EffectKind.LegRead) CheckRead(node, disk);
        CheckFence(node.Name, life);
        _ios.Add(io);
        var at = Math.Max(Now, node.HungDisk is null || node.HungDisk == disk ? node.HangsUntilNs : 0);
        for (var block = range.Start; block < range.End; block++)
        {
            // Blocks land one by one, so that a death tears the write.
            var number = (int)block;
            at += IoDelay() / 3;
            var slot = (int)((effect.BufferOffset / BlockBytes) + block - range.Start);
            At(at, () => Land(node, life, io, request, number, slot, effect), "leg");
        }

        if (effect.Kind == EffectKind.LegFlush) After(IoDelay(), () => EndFlush(node, life, io, effect), "flush");
    }

    private void Land(
        SimNode node, ulong life, SimIo io, OpenRequest? request, int block, int slot, MirrorEffect effect)
    {
        if (WaitsForDisk(io, () => Land(node, life, io, request, block, slot, effect))) return;
        var isDead = !node.IsAlive || node.Incarnation != life;
        if (isDead && io is { IsWrite: true, LateUntilNs: 0 })
        {
            // What a dead node submitted may still come from a queue on the way, until the device's bound.
            io.LateUntilNs = _random.Chance(_lateWrites) ? io.SubmittedNs + _random.NextInt64(DeviceNs) : Now;
        }

        if (io.LateUntilNs > Now)
        {
            At(io.LateUntilNs, () => Land(node, life, io, request, block, slot, effect), "late");
            return;
        }

        if (io.IsWrite && !(io.Disk.WriteStatus != DeviceStatus.Ok || (isDead && _random.Chance(0.4))))
        {
            if (request!.IsSuperseded && !IsOnLostLeg(io, isDead) && request.Client is not null) Fail($"I-GIVEN block {block}: {request.Values[slot]} of {node.Name}, given up by its client, lands after newer data was acknowledged (design §14.25)");
            if (request.IsSuperseded && !IsOnLostLeg(io, isDead)) Fail($"I-NOLOSS block {block}: {request.Values[slot]} of {node.Name} lands after its client wrote it again elsewhere, and that was acknowledged (design §14.9)");
            io.IsShort |= !io.Disk.TryWrite(block, request.Values[slot], node.Name);
        }
        else if (io.IsWrite && io.Disk.WriteStatus != DeviceStatus.Ok)
        {
            io.Failure = io.Disk.WriteStatus; // Also if the disk is well again before the rest has landed.
        }
        else if (io is { IsWrite: false, IsGivenUp: false } && !isDead)
        {
            request!.Values[slot] = io.Disk.Cached[block];
            io.IsBehindEnd |= io.Disk.IsBehindEnd(block);
        }

        if (--io.Remaining > 0) return;
        _ios.Remove(io);
        if (io.IsGivenUp) return;
        var status = io.IsBehindEnd ? DeviceStatus.Unreachable
            : io.Failure != DeviceStatus.Ok ? io.Failure
            : io.IsShort ? DeviceStatus.NoSpace : DeviceStatus.Ok;
        if (io.IsWrite) request!.Ended(io.Disk.Name, status);
        if (status != DeviceStatus.Ok && request is not null) request.FailedNs = Now;
        OnNode(node, life, () => node.Core.IoCompleted(Now, effect.Id, effect.Leg, status, effect.Name!, space: _isSpaceShared ? 1UL : 0));
    }

    private void EndFlush(SimNode node, ulong life, SimIo io, MirrorEffect effect)
    {
        if (WaitsForDisk(io, () => EndFlush(node, life, io, effect))) return;
        _ios.Remove(io);
        if (io.IsGivenUp) return;
        var status = DeviceStatus.Ok;
        if (io.Disk.FailsWrites) status = DeviceStatus.IoError;
        else io.Disk.Flush();
        OnNode(node, life, () => node.Core.IoCompleted(Now, effect.Id, effect.Leg, status, effect.Name!));
    }

    /// <summary>A disk that hangs keeps what it was given; what its node gave up comes from a queue on the way, later still.</summary>
    private bool WaitsForDisk(SimIo io, Action again)
    {
        if (!io.Disk.IsHanging) return false;
        var late = io.IsGivenUp ? _random.Next(300) : 0;
        After((10 + late) * Ms, again, "hang");
        return true;
    }

    /// <summary>What a lost leg still takes from a queue on the way is nobody's data: its node gave the call up, or died or was fenced while it ran.</summary>
    private bool IsOnLostLeg(SimIo io, bool isDead) => (io.IsGivenUp || isDead || !IsUnresolved(io))
        && _control.Volume.Legs.Any(leg => leg.Extents[0].Disk == io.Disk.Name && leg.State is LegState.Offline or LegState.Maintenance);

    /// <summary>As MirrorVolume: calls are answered at once and go on in the kernel, a copy makes no further one.</summary>
    private void GiveUp(SimNode node, MirrorEffect effect)
    {
        var life = node.Incarnation;
        foreach (var io in _ios.ToArray())
        {
            if (io.Node != node.Name || io.Incarnation != life || io.IsGivenUp) continue;
            if (io.IsCopy ? io.Operation.Id != effect.Id : io.Operation != (effect.Id, effect.Leg)) continue;
            io.IsGivenUp = true;
            if (io.Request is { } request) request.FailedNs = Now;
            _callsGivenUp++;
            if (io.IsCopy)
            {
                _ios.Remove(io);
                After(1, () => OnNode(node, life, () => node.Core.CopyCompleted(
                    Now, effect.Id, new CopyResult(DeviceStatus.IoError, 0, null, false, 0, 0, IsLeaseLost: true))), "given up");
                continue;
            }

            After(1, () => OnNode(node, life, () => node.Core.IoCompleted(
                Now, effect.Id, effect.Leg, DeviceStatus.Unreachable, io.Disk.Name)), "given up");
        }
    }

    private void SubmitCopy(SimNode node, MirrorEffect effect)
    {
        var life = node.Incarnation;
        var plan = (CopyPlan)effect.Payload!;
        var range = new ByteRange(plan.Range.Start / BlockBytes, plan.Range.Length / BlockBytes);
        CheckCopy(node, range);
        CheckFence(node.Name, life);
        _copies++;
        Log($"{node.Name} copies {range}");
        var io = new SimIo
        {
            Node = node.Name,
            Incarnation = life,
            Disk = _disks[0],
            Blocks = range,
            IsCopy = true,
            IsWrite = true,
            Operation = (effect.Id, -1),
        };
        _ios.Add(io);
        var data = new ulong[range.Length];
        After(_copySlowness * Ms, () =>
        {
            var source = DiskOf(node, plan.Legs[0][0].Disk);
            Array.Copy(source.Cached, range.Start, data, 0, range.Length);
            After(IoDelay() / 2, () => LandCopy(node, life, io, plan, data, effect), "copy");
        }, "copy");
    }

    private void LandCopy(SimNode node, ulong life, SimIo io, CopyPlan plan, ulong[] data, MirrorEffect effect)
    {
        if (io.IsGivenUp) return;
        var hanging = Array.Find(_disks, disk => disk.IsHanging && plan.Legs.Any(leg => leg[0].Disk == disk.Name));
        if (hanging is not null)
        {
            After(10 * Ms, () => LandCopy(node, life, io, plan, data, effect), "hang");
            return;
        }

        _ios.Remove(io);
        long copied = 0, compared = 0;
        var isAlive = node.IsAlive && node.Incarnation == life;
        // The lease is checked before each call; a copy that a pause stretched past it writes nothing more.
        var hasLease = isAlive && (Now < node.Core.LeaseExpiresNs || (_faults & MirrorFaults.IgnoreLease) != 0);
        for (var leg = 1; leg < plan.Legs.Count && hasLease; leg++)
        {
            var disk = DiskOf(node, plan.Legs[leg][0].Disk);
            if (disk.WriteStatus != DeviceStatus.Ok)
            {
                var (failed, name, status) = (leg, disk.Name, disk.WriteStatus);
                OnNode(node, life, () => node.Core.CopyCompleted(Now, effect.Id, new CopyResult(status, failed, name, true, 0, 0)));
                return;
            }

            for (var i = 0; i < data.Length; i++)
            {
                var block = (int)io.Blocks.Start + i;
                if (disk.Cached[block] == data[i])
                {
                    compared += BlockBytes;
                    continue;
                }

                if (!disk.TryWrite(block, data[i], node.Name))
                {
                    EndShort(node, life, effect, leg, disk, isCopy: true);
                    return;
                }

                copied += BlockBytes;
            }
        }

        OnNode(node, life, () => node.Core.CopyCompleted(
            Now, effect.Id, new CopyResult(DeviceStatus.Ok, 0, null, false, copied, compared, IsLeaseLost: !hasLease)));
    }
}
