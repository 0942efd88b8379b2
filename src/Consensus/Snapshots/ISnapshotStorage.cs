namespace RaftMirror.Consensus.Snapshots;

/// <summary>The files of one snapshot store: a real directory, or the simulator's. Any failure is an <see cref="IOException"/>; after
/// one of a write or a flush, the file's content counts as lost.</summary>
internal interface ISnapshotStorage
{
    /// <summary>Names of all files, in ordinal order.</summary>
    IReadOnlyList<string> List();

    /// <summary>Makes an empty file, in place of one of that name. Nothing of it is durable before <see cref="ISnapshotFile.Sync"/>.</summary>
    ISnapshotFile Create(string name);

    /// <summary>Opens an existing file. What was opened stays readable when the name is deleted or given to another file.</summary>
    /// <exception cref="FileNotFoundException">There is none of that name.</exception>
    ISnapshotFile Open(string name);

    /// <summary>Gives a flushed file another name, in place of a file of that name. Durable on return; after a crash before that,
    /// either name is there, whole.</summary>
    void Rename(string from, string to);

    /// <summary>Removes a file if it is there. A crash may bring it back.</summary>
    void Delete(string name);
}

/// <summary>A file that grows at its end. One thread at a time.</summary>
internal interface ISnapshotFile : IDisposable
{
    /// <summary>Present length.</summary>
    long LengthBytes { get; }

    /// <summary>Writes to the cache of the system; durable after <see cref="Sync"/>.</summary>
    void Append(ReadOnlySpan<byte> data);

    /// <summary>Reads exactly <paramref name="buffer"/>.Length bytes.</summary>
    void Read(long offset, Span<byte> buffer);

    /// <summary>Cuts the file.</summary>
    /// <param name="lengthBytes">At most <see cref="LengthBytes"/>.</param>
    void Truncate(long lengthBytes);

    /// <summary>Makes content and length durable.</summary>
    void Sync();
}
