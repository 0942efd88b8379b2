namespace RaftMirror.Consensus.Storage;

/// <summary>The files of one write-ahead log: a real directory, or the simulator's. The log's thread uses it, and one
/// other may create, rename and delete other files meanwhile. Any failure is an <see cref="IOException"/> with errno as its HResult, and final but for <see cref="Create"/> and
/// <see cref="Open"/>, which leave nothing behind and may be tried again.</summary>
internal interface IWalStorage
{
    /// <summary>Names of all files, in ordinal order.</summary>
    IReadOnlyList<string> List();

    /// <summary>Makes a file of zeros. When this returns, name, length and content are durable; after a crash the
    /// file is there whole or not at all.</summary>
    IWalFile Create(string name, long lengthBytes);

    IWalFile Open(string name);

    /// <summary>Gives a file another name, in place of the file that had it. Durable when this returns; after a crash the
    /// file has one of the names. It is not open.</summary>
    void Rename(string from, string to);

    /// <summary>Removes a file durably.</summary>
    void Delete(string name);
}

/// <summary>A file of fixed length.</summary>
internal interface IWalFile : IDisposable
{
    long LengthBytes { get; }

    /// <summary>Writes to the cache of the system; durable after <see cref="Flush"/>.</summary>
    void Write(long offset, ReadOnlySpan<byte> data);

    /// <summary>Reads exactly <paramref name="buffer"/>.Length bytes.</summary>
    void Read(long offset, Span<byte> buffer);

    /// <summary>Makes everything written durable. After a failure nothing may be believed any more.</summary>
    void Flush();
}
