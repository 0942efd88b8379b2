namespace RaftMirror.Simulation.Harness;

/// <summary>The power of one node's disks. It can be made to fail just before an operation of them: in the middle of compaction, of the
/// change to another segment, of recovery, of a snapshot's publication. From then on nothing works until it is back.</summary>
internal sealed class DiskPower
{
    private int _operationsLeft;

    /// <summary>It has failed: the node is dead, whatever its process still believes.</summary>
    public bool IsOut { get; private set; }

    /// <summary>Fails before the <paramref name="operations"/>-th operation from now on; 1 is the next. 0: it does not fail.</summary>
    public void FailBefore(int operations) => _operationsLeft = operations;

    public void Return() => (IsOut, _operationsLeft) = (false, 0);

    /// <summary>Before each operation of a disk.</summary>
    public void Use()
    {
        if (_operationsLeft > 0 && --_operationsLeft == 0) IsOut = true;
        if (IsOut) throw new IOException("simulated: the power failed");
    }
}
