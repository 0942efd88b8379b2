namespace RaftMirror.DataPlane.Devices;

/// <summary>A device that somebody else owns and closes; it outlives this loan. Any thread, as the device.</summary>
internal sealed class BorrowedDevice(IBlockDevice owner) : WrappedDevice(owner)
{
    /// <summary>Leaves the device open: its owner closes it.</summary>
    protected override void Dispose(bool disposing) => base.Dispose(disposing: false);
}
