using RaftMirror.DataPlane.Devices;
using Xunit;

namespace RaftMirror.DataPlane.Tests.Devices;

public sealed class FileBlockDeviceTests : IDisposable
{
    private readonly string _path = Path.Combine(Path.GetTempPath(), $"raftmirror-{Guid.NewGuid():N}.img");

    public FileBlockDeviceTests()
    {
        using var file = File.Create(_path);
        file.SetLength(4 << 20);
    }

    public void Dispose() => File.Delete(_path);

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void ReadWrite_UnalignedBuffers_GiveTheDataBack(bool isDirect)
    {
        using var device = FileBlockDevice.Open("d", _path, isDirect);
        Assert.Equal(4 << 20, device.SizeBytes);
        var data = new byte[8192 + 1];
        for (var i = 0; i < data.Length; i++) data[i] = (byte)(i * 7);
        Assert.Equal(DeviceStatus.Ok, device.Write(4096, data.AsSpan(1)));
        Assert.Equal(DeviceStatus.Ok, device.Flush());
        var back = new byte[8192 + 3];
        Assert.Equal(DeviceStatus.Ok, device.Read(4096, back.AsSpan(3)));
        Assert.Equal(data[1..], back[3..]);
    }

    [Theory]
    [InlineData(true, true)]
    [InlineData(true, false)]
    [InlineData(false, true)]
    [InlineData(false, false)]
    public void WriteZeroes_AndTrim_ReadAsZeros(bool isDirect, bool mayUnmap)
    {
        using var device = FileBlockDevice.Open("d", _path, isDirect);
        var data = new byte[3 << 20];
        Array.Fill(data, (byte)1);
        device.Write(0, data);
        Assert.Equal(DeviceStatus.Ok, device.WriteZeroes(4096, 2 << 20, mayUnmap));
        Assert.Equal(DeviceStatus.Ok, device.Trim(0, 4096));
        device.Read(0, data);
        Assert.Equal(-1, data.AsSpan(0, (2 << 20) + 4096).IndexOfAnyExcept((byte)0));
        Assert.Equal(1, data[(2 << 20) + 4096]);
    }

    [Fact]
    public void Write_ToAReadOnlyOpening_IsAStatus()
    {
        using var device = FileBlockDevice.Open("d", _path, isDirect: false, writable: false);
        Assert.Equal(DeviceStatus.IoError, device.Write(0, new byte[512]));
    }

    [Fact]
    public void Read_FileTruncatedBelow_IsAStatus()
    {
        using var device = FileBlockDevice.Open("d", _path, isDirect: false);
        using (var file = File.OpenWrite(_path)) file.SetLength(512);
        Assert.Equal(DeviceStatus.Unreachable, device.Read(0, new byte[1024]));
    }

    [Fact]
    public void Open_Directory_SaysSo() =>
        Assert.Throws<IOException>(() => FileBlockDevice.Open("d", Path.GetTempPath(), isDirect: false));
}
