using Microsoft.Win32.SafeHandles;
using RaftMirror.Primitives;

namespace RaftMirror.Consensus.Snapshots;

/// <summary>A directory of the local file system, made if it is missing. Any thread.</summary>
internal sealed class DirectorySnapshotStorage : ISnapshotStorage
{
    private readonly string _path;

    public DirectorySnapshotStorage(string path)
    {
        _path = path;
        Directory.CreateDirectory(path);
        if (Path.GetDirectoryName(Path.GetFullPath(path)) is { } parent) Linux.SyncDirectory(parent);
    }

    public IReadOnlyList<string> List() =>
        [.. Directory.GetFiles(_path).Select(name => Path.GetFileName(name)).Order(StringComparer.Ordinal)];

    public ISnapshotFile Create(string name)
    {
        var path = Path.Combine(_path, name);
        File.Delete(path); // Not truncated: after a failed flush the old file's pages are nothing to build on.
        return new SnapshotFile(Linux.Open(path, writable: true, create: true));
    }

    public ISnapshotFile Open(string name)
    {
        var path = Path.Combine(_path, name);
        try
        {
            return new SnapshotFile(Linux.Open(path, writable: true));
        }
        catch (IOException missing) when (!File.Exists(path))
        {
            throw new FileNotFoundException($"There is no snapshot file {name}.", path, missing);
        }
    }

    public void Rename(string from, string to)
    {
        File.Move(Path.Combine(_path, from), Path.Combine(_path, to), overwrite: true);
        Linux.SyncDirectory(_path);
    }

    public void Delete(string name) => File.Delete(Path.Combine(_path, name));

    private sealed class SnapshotFile(SafeFileHandle handle) : ISnapshotFile
    {
        public long LengthBytes { get; private set; } = RandomAccess.GetLength(handle);

        public void Append(ReadOnlySpan<byte> data)
        {
            RandomAccess.Write(handle, data, LengthBytes);
            LengthBytes += data.Length;
        }

        public void Read(long offset, Span<byte> buffer)
        {
            while (buffer.Length > 0)
            {
                var count = RandomAccess.Read(handle, buffer, offset);
                if (count == 0) throw new IOException($"A snapshot file ends at {offset}, before its length.");
                buffer = buffer[count..];
                offset += count;
            }
        }

        public void Truncate(long lengthBytes)
        {
            Invariant.Require(lengthBytes <= LengthBytes, "A file is cut, never extended.");
            RandomAccess.SetLength(handle, lengthBytes);
            LengthBytes = lengthBytes;
        }

        public void Sync() => Linux.DataSync(handle);

        public void Dispose() => handle.Dispose();
    }
}
