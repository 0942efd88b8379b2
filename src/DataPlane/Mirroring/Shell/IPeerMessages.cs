namespace RaftMirror.DataPlane.Mirroring.Shell;

/// <summary>Datagrams between the data planes of one set. Best effort: a message may be lost, delayed, duplicated or
/// overtaken; every exchange repeats until it is answered. Incoming ones go to <see cref="DataPlaneSet.Receive"/>.</summary>
public interface IPeerMessages
{
    /// <summary>Sends without waiting; never throws for an unreachable node. Any thread.</summary>
    /// <param name="node">Node name, never this node.</param>
    /// <param name="payload">At most 1 MiB; the callee may keep it.</param>
    void Send(string node, ReadOnlyMemory<byte> payload);
}
