using RaftMirror.Primitives;

namespace RaftMirror.DataPlane.Devices;

/// <summary>Fails what it is told to fail, without touching the disk below. Any thread.</summary>
internal sealed class FailingDevice(IBlockDevice inner) : WrappedDevice(inner)
{
    private readonly Lock _gate = new();
    private readonly List<Rule> _rules = [];

    /// <summary>Calls that were failed so far.</summary>
    public int FailedCalls { get; private set; }

    /// <summary>Fails calls from now on, until <see cref="Heal"/>.</summary>
    /// <param name="operations">Which.</param>
    /// <param name="status">With what; not Ok.</param>
    /// <param name="range">Those that touch it; null for all, flushes included.</param>
    /// <param name="skip">Let that many matching calls pass first.</param>
    /// <param name="count">Fail at most that many.</param>
    public void Fail(
        DeviceOperations operations,
        DeviceStatus status = DeviceStatus.IoError,
        ByteRange? range = null,
        int skip = 0,
        int count = int.MaxValue)
    {
        Invariant.Require(status != DeviceStatus.Ok, "A failure is not Ok.");
        lock (_gate) _rules.Add(new Rule(operations, status, range, skip, count));
    }

    /// <summary>Forgets all failures that were ordered.</summary>
    public void Heal()
    {
        lock (_gate) _rules.Clear();
    }

    /// <inheritdoc/>
    protected override DeviceStatus Before(DeviceOperations operation, long offset, long lengthBytes)
    {
        lock (_gate)
        {
            foreach (var rule in _rules)
            {
                if ((rule.Operations & operation) == 0) continue;
                if (rule.Range is { } range && !range.Overlaps(new ByteRange(offset, lengthBytes))) continue;
                if (rule.Skip > 0)
                {
                    rule.Skip--;
                    continue;
                }

                if (rule.Count == 0) continue;
                rule.Count--;
                FailedCalls++;
                return rule.Status;
            }
        }

        return DeviceStatus.Ok;
    }

    private sealed class Rule(DeviceOperations operations, DeviceStatus status, ByteRange? range, int skip, int count)
    {
        public DeviceOperations Operations { get; } = operations;

        public DeviceStatus Status { get; } = status;

        public ByteRange? Range { get; } = range;

        public int Skip { get; set; } = skip;

        public int Count { get; set; } = count;
    }
}
