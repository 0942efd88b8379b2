using RaftMirror.DataPlane.Devices;
using Xunit;

namespace RaftMirror.DataPlane.Tests.Devices;

/// <summary>A backing file that is cut or grown below a running set.</summary>
public sealed class ShrunkFileTests : IDisposable
{
    private readonly string _path = Path.GetTempFileName();

    public ShrunkFileTests() => Resize(4 << 20);

    public void Dispose() => File.Delete(_path);

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void Write_FileWasCut_IsRefusedAndTheFileStaysShort(bool isZeroes)
    {
        using var device = FileBlockDevice.Open("d", _path, isDirect: false);
        Resize(1 << 20);
        var status = isZeroes ? device.WriteZeroes(3 << 20, 4096, mayUnmap: false) : device.Write(3 << 20, new byte[4096]);
        Assert.Equal((DeviceStatus.Unreachable, 1L << 20), (status, new FileInfo(_path).Length));
    }

    [Fact] // What lay behind the cut reads as zeros now: no source any more, whatever its length is.
    public void Write_FileWasCutAndHasGrownBack_IsRefusedOnceItWasSeen()
    {
        using var device = FileBlockDevice.Open("d", _path, isDirect: false);
        Resize(1 << 20);
        Assert.Equal(DeviceStatus.Unreachable, device.Read(3 << 20, new byte[4096]));
        Assert.True(device.IsShrunk);
        Resize(4 << 20);
        Assert.Equal(DeviceStatus.Unreachable, device.Write(0, new byte[4096]));
        Assert.Equal(DeviceStatus.Unreachable, device.Read(3 << 20, new byte[4096]));
    }

    [Fact]
    public void Open_FileHasGrown_UsesTheSizeItKnows()
    {
        Resize(8 << 20);
        using var device = FileBlockDevice.Open("d", _path, isDirect: false, limitBytes: 4 << 20);
        Assert.Equal((4L << 20, 8L << 20), (device.SizeBytes, device.CurrentSizeBytes));
        Assert.Equal(DeviceStatus.Ok, device.Write((4 << 20) - 4096, new byte[4096]));
    }

    private void Resize(long bytes)
    {
        using var file = new FileStream(_path, FileMode.Open);
        file.SetLength(bytes);
    }
}
