using Microsoft.Win32.SafeHandles;
using RaftMirror.Primitives;

namespace RaftMirror.Consensus.Storage;

/// <summary>A directory of the local file system.</summary>
internal sealed class DirectoryStorage : IWalStorage
{
    private const string Unfinished = ".new";
    private readonly string _path;
    private readonly bool _isReadOnly;

    /// <summary>Opens a directory; a log's directory is made if it is missing, and unfinished files are removed.</summary>
    /// <param name="path">The directory.</param>
    /// <param name="isReadOnly">Nothing is made, removed or written, and what would do so throws.</param>
    public DirectoryStorage(string path, bool isReadOnly = false)
    {
        _path = path;
        _isReadOnly = isReadOnly;
        if (isReadOnly) return;
        Strict(() =>
        {
            Directory.CreateDirectory(path);
            foreach (var name in Directory.GetFiles(path, "*" + Unfinished)) File.Delete(name);
            Linux.SyncDirectory(path);
            if (Path.GetDirectoryName(Path.GetFullPath(path)) is { } parent) Linux.SyncDirectory(parent);
        });
    }

    public IReadOnlyList<string> List()
    {
        string[] names = [];
        Strict(() => names = Directory.GetFiles(_path));
        return [.. names.Select(name => Path.GetFileName(name)!)
            .Where(name => !name.EndsWith(Unfinished, StringComparison.Ordinal)) // Not there yet; a reader cannot remove it.
            .Order(StringComparer.Ordinal)];
    }

    public IWalFile Create(string name, long lengthBytes)
    {
        RequireWritable();
        var path = Path.Combine(_path, name);
        var handle = Linux.Open(path + Unfinished, writable: true, create: true);
        try
        {
            // Zeros that are really written: blocks that are only reserved cost a metadata write at each flush.
            var zeros = new byte[Math.Min(lengthBytes, 1 << 20)];
            for (long offset = 0; offset < lengthBytes; offset += zeros.Length)
                LogFile.WriteAll(handle, offset, zeros.AsSpan(0, (int)Math.Min(zeros.Length, lengthBytes - offset)));
            Linux.DataSync(handle);
            Strict(() => File.Move(path + Unfinished, path));
            Linux.SyncDirectory(_path);
            return new LogFile(handle);
        }
        catch
        {
            handle.Dispose();
            RemoveUnfinished(path); // The space that it got is what others lack.
            throw;
        }
    }

    public IWalFile Open(string name) => new LogFile(Linux.Open(Path.Combine(_path, name), writable: !_isReadOnly));

    public void Rename(string from, string to)
    {
        RequireWritable();
        Strict(() => File.Move(Path.Combine(_path, from), Path.Combine(_path, to), overwrite: true));
        Linux.SyncDirectory(_path);
    }

    public void Delete(string name)
    {
        RequireWritable();
        Strict(() => File.Delete(Path.Combine(_path, name)));
        Linux.SyncDirectory(_path);
    }

    /// <summary>The framework says some refusals of the system by another exception than the contract's.</summary>
    private static void Strict(Action action)
    {
        try
        {
            action();
        }
        catch (UnauthorizedAccessException error)
        {
            throw new IOException(error.Message, error);
        }
    }

    private static void RemoveUnfinished(string path)
    {
        try
        {
            File.Delete(path + Unfinished);
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            // What went wrong first is told; the next opening removes it.
        }
    }

    private void RequireWritable()
    {
        if (_isReadOnly) throw new IOException($"{_path} was opened to be read only.");
    }

    private sealed class LogFile(SafeFileHandle handle) : IWalFile
    {
        public long LengthBytes { get; } = RandomAccess.GetLength(handle);

        public static void WriteAll(SafeFileHandle handle, long offset, ReadOnlySpan<byte> data)
        {
            var result = Linux.WriteAt(handle, data, offset);
            if (result < 0) throw new IOException($"Writing a log file failed at {offset}: errno {-result}.", -result);
        }

        public void Write(long offset, ReadOnlySpan<byte> data) => WriteAll(handle, offset, data);

        public void Read(long offset, Span<byte> buffer)
        {
            var result = Linux.ReadAt(handle, buffer, offset);
            if (result < 0) throw new IOException($"Reading a log file failed at {offset}: errno {-result}.", -result);
            if (result < buffer.Length) throw new IOException($"A log file ends at {offset + result}, before its length.");
        }

        public void Flush() => Linux.DataSync(handle);

        public void Dispose() => handle.Dispose();
    }
}
