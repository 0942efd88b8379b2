using Microsoft.Win32.SafeHandles;
using RaftMirror.Primitives;

namespace RaftMirror.Consensus.Storage;

/// <summary>A directory of the local file system.</summary>
internal sealed class DirectoryStorage : IWalStorage
{
    private const string Unfinished = ".new";
    private readonly string _path;

    public DirectoryStorage(string path)
    {
        _path = path;
        Directory.CreateDirectory(path);
        foreach (var name in Directory.GetFiles(path, "*" + Unfinished)) File.Delete(name);
        Linux.SyncDirectory(path);
        if (Path.GetDirectoryName(Path.GetFullPath(path)) is { } parent) Linux.SyncDirectory(parent);
    }

    public IReadOnlyList<string> List() =>
        [.. Directory.GetFiles(_path).Select(name => Path.GetFileName(name)).Order(StringComparer.Ordinal)];

    public IWalFile Create(string name, long lengthBytes)
    {
        var path = Path.Combine(_path, name);
        var handle = Linux.Open(path + Unfinished, writable: true, create: true);
        try
        {
            // Zeros that are really written: blocks that are only reserved cost a metadata write at each flush.
            var zeros = new byte[Math.Min(lengthBytes, 1 << 20)];
            for (long offset = 0; offset < lengthBytes; offset += zeros.Length)
                RandomAccess.Write(handle, zeros.AsSpan(0, (int)Math.Min(zeros.Length, lengthBytes - offset)), offset);
            Linux.DataSync(handle);
            File.Move(path + Unfinished, path);
            Linux.SyncDirectory(_path);
            return new RealFile(handle);
        }
        catch
        {
            handle.Dispose();
            throw;
        }
    }

    public IWalFile Open(string name) => new RealFile(Linux.Open(Path.Combine(_path, name), writable: true));

    public void Delete(string name)
    {
        File.Delete(Path.Combine(_path, name));
        Linux.SyncDirectory(_path);
    }

    private sealed class RealFile(SafeFileHandle handle) : IWalFile
    {
        public long LengthBytes { get; } = RandomAccess.GetLength(handle);

        public void Write(long offset, ReadOnlySpan<byte> data) => RandomAccess.Write(handle, data, offset);

        public void Read(long offset, Span<byte> buffer)
        {
            while (buffer.Length > 0)
            {
                var count = RandomAccess.Read(handle, buffer, offset);
                if (count == 0) throw new IOException($"A log file ends at {offset}, before its length.");
                buffer = buffer[count..];
                offset += count;
            }
        }

        public void Flush() => Linux.DataSync(handle);

        public void Dispose() => handle.Dispose();
    }
}
