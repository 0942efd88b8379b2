using RaftMirror.DataPlane.Devices;
using RaftMirror.DataPlane.Metadata;
using RaftMirror.Node.Peers;

namespace RaftMirror.Node.Disks;

/// <summary>This node's part in <c>disk add</c>: looks, stamps, compares, labels, puts back. The leader orders the steps
/// (<c>DiskAdmission</c>). Each step may be repeated. Pool threads.</summary>
internal static class DiskChecks
{
    /// <summary>Carries out one step.</summary>
    public static DiskReply Run(DiskRequest request)
    {
        if (request.Step == DiskStep.Recognize) return Recognize(request);
        var probe = DiskProbe.Probe(request.Path, request.IsDirectIo, request.MetadataBytes);
        if (probe.Content is DiskContent.NotADisk or DiskContent.TooSmall) return Refuse(probe, probe.Message);
        if (probe.Content is DiskContent.Foreign or DiskContent.OursDamaged && !request.IsOverwrite) return Refuse(probe, probe.Message);
        try
        {
            using var device = FileBlockDevice.Open(request.Path, request.Path, request.IsDirectIo);
            return request.Step switch
            {
                DiskStep.Probe => IsFreeFor(request, probe, device) is { } refusal
                    ? Refuse(probe, refusal)
                    : Agree(probe) with { Message = probe.Content == DiskContent.Blank ? probe.Message : ToBeLost(request, probe) },
                DiskStep.Stamp => Stamp(request, probe, device),
                DiskStep.ReadStamp => ReadStamp(request, probe, device),
                DiskStep.Label => Label(request, probe, device),
                _ => Restore(request, probe, device),
            };
        }
        catch (IOException failure)
        {
            return Refuse(probe, failure.Message);
        }
    }

    private static DiskReply Recognize(DiskRequest request)
    {
        var probe = DiskProbe.Probe(request.Path, request.IsDirectIo, request.MetadataBytes);
        if (probe.Content != DiskContent.Ours) return Refuse(probe, probe.Message);
        return IsOwnLabel(request, probe)
            ? Agree(probe)
            : Refuse(probe, $"{request.Path} is disk {probe.Label!.Disk} of set {probe.Label.Set}, cluster {probe.Label.Cluster}: another one than {request.DiskId}");
    }

    private static DiskReply Agree(DiskProbeResult probe) => new(true, probe.Message, probe.SizeBytes, probe.SectorBytes);

    private static DiskReply Refuse(DiskProbeResult probe, string message) => new(false, message, probe.SizeBytes, probe.SectorBytes);

    /// <summary>Blank, or left by an earlier try of the same request.</summary>
    private static string? IsFreeFor(DiskRequest request, DiskProbeResult probe, FileBlockDevice device) => probe.Content switch
    {
        DiskContent.Blank => null,
        DiskContent.Ours when IsOwnLabel(request, probe) => null,
        DiskContent.Ours when probe.Label!.Set == request.SetId => $"{request.Path} is already a disk of set '{request.Set}' ({probe.Label.Disk})",
        DiskContent.Stamped when HasOwnStamp(request, device) => null,
        // Another node of this cluster may be using it: what this cluster labelled is never overwritten.
        DiskContent.Ours or DiskContent.OursDamaged when probe.Label?.Cluster == request.ClusterId =>
            $"{request.Path} is disk {probe.Label!.Disk} of set {probe.Label.Set} in cluster {probe.Label.Cluster}, which is this one: it does not overwrite its own disks; choose another",
        _ => request.IsOverwrite ? TooSmallFor(request, device) : probe.Message,
    };

    private static string? TooSmallFor(DiskRequest request, FileBlockDevice device) =>
        DiskLayout.TryCreate(device.SizeBytes, request.MetadataBytes, request.MaxNodes, out _, out var refusal) ? null : $"{request.Path}: {refusal}";

    private static string ToBeLost(DiskRequest request, DiskProbeResult probe)
    {
        var what = probe.Message.IndexOf(": ", StringComparison.Ordinal) is > 0 and var end ? probe.Message[..end] : probe.Message;
        return request.IsOverwrite ? $"{what}; that is lost (--overwrite)" : what;
    }

    private static bool IsOwnLabel(DiskRequest request, DiskProbeResult probe) =>
        probe.Label is { } label && label.Disk == request.DiskId && label.Set == request.SetId && label.Cluster == request.ClusterId;

    private static bool HasOwnStamp(DiskRequest request, FileBlockDevice device) =>
        ProbeStamp.Read(device, out var nonce) == DeviceStatus.Ok && nonce == request.DiskId;

    private static DiskReply Stamp(DiskRequest request, DiskProbeResult probe, FileBlockDevice device)
    {
        if (IsFreeFor(request, probe, device) is { } refusal) return Refuse(probe, refusal);
        var isAgain = probe.Content is DiskContent.Stamped or DiskContent.Ours && (HasOwnStamp(request, device) || IsOwnLabel(request, probe));
        var status = ProbeStamp.Write(device, request.DiskId, out var stamp);
        if (status != DeviceStatus.Ok) return Refuse(probe, $"{request.Path} could not be written ({status})");
        return Agree(probe) with { Kept = probe.Content == DiskContent.Blank || isAgain ? null : stamp!.Kept };
    }

    private static DiskReply ReadStamp(DiskRequest request, DiskProbeResult probe, FileBlockDevice device) => HasOwnStamp(request, device)
        ? Agree(probe)
        : Refuse(probe, $"{request.Path} is not the disk that the other nodes see: the stamp written there is not here");

    private static DiskReply Label(DiskRequest request, DiskProbeResult probe, FileBlockDevice device)
    {
        if (!HasOwnStamp(request, device)) return Refuse(probe, $"{request.Path} no longer carries the stamp of this check");
        if (!DiskLayout.TryCreate(device.SizeBytes, request.MetadataBytes, request.MaxNodes, out var layout, out var refusal))
            return Refuse(probe, $"{request.Path}: {refusal}");
        if (Reserve(request, device) is { } full) return Refuse(probe, full);
        if (request.IsOverwrite && SignatureEraser.Erase(device) is { } left) return Refuse(probe, left);
        var label = new DiskLabel(
            request.ClusterId,
            request.SetId,
            request.DiskId,
            device.SizeBytes,
            request.MetadataBytes,
            request.MaxNodes,
            0,
            layout.SlotBytes,
            request.Generation,
            0,
            new LabelStamp(request.StampNumber, request.StampNonce, request.StampActivation));
        var status = LabelStore.Write(device, label);
        return status == DeviceStatus.Ok ? Agree(probe) : Refuse(probe, $"{request.Path} could not be labelled ({status})");
    }

    /// <summary>Labels and dirty logs have their space from the start: without it a full file system would stop writes that need none (design §14.22).</summary>
    private static string? Reserve(DiskRequest request, FileBlockDevice device)
    {
        DeviceErrno.Last = 0;
        var status = device.Allocate(0, request.MetadataBytes);
        if (status == DeviceStatus.Ok)
            status = device.Allocate(DiskLayout.TailLabelOffsetOf(device.SizeBytes), DiskLayout.LabelBytes);
        return status == DeviceStatus.Ok ? null
            : $"{request.Path} has no space for its {request.MetadataBytes >> 20} MiB of labels and dirty logs: {RaftMirror.Primitives.ErrnoText.Of(DeviceErrno.Last)}";
    }

    /// <summary>Puts back what the stamp was written over. Where nothing was kept the disk was blank, or has been erased: zeros.</summary>
    private static DiskReply Restore(DiskRequest request, DiskProbeResult probe, FileBlockDevice device)
    {
        if (!IsOwnLabel(request, probe) && !HasOwnStamp(request, device)) return Agree(probe);
        if (request.Kept is { } kept)
        {
            var restored = ProbeStamp.From(device, kept)?.Restore();
            return restored == DeviceStatus.Ok ? Agree(probe) : Refuse(probe, $"{request.Path} could not be put back ({restored})");
        }

        foreach (var offset in (ReadOnlySpan<long>)[DiskLayout.TailLabelOffsetOf(device.SizeBytes), 0])
        {
            var status = device.WriteZeroes(offset, DiskLayout.LabelBytes, mayUnmap: false);
            if (status == DeviceStatus.Ok) status = device.Flush();
            if (status != DeviceStatus.Ok) return Refuse(probe, $"{request.Path} could not be put back ({status})");
        }

        return Agree(probe);
    }
}
