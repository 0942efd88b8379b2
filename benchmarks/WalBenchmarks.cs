using System.Diagnostics.CodeAnalysis;
using BenchmarkDotNet.Attributes;
using Microsoft.Win32.SafeHandles;
using RaftMirror.Consensus.Core;
using RaftMirror.Consensus.Model;
using RaftMirror.Consensus.Storage;
using RaftMirror.Primitives;

namespace RaftMirror.Benchmarks;

/// <summary>The write-ahead log beside the bare loop it cannot beat: one write into a zero-filled file and fdatasync. The ratio is the
/// cost of framing, checksums and the durable mark. Both on the file system of the temporary folder.</summary>
[MemoryDiagnoser]
[SuppressMessage("Design", "CA1001", Justification = "Cleanup disposes; BenchmarkDotNet knows no other way.")]
public class WalBenchmarks
{
    private const int SegmentBytes = 64 << 20;
    private readonly byte[] _raw = new byte[4096];
    private string _folder = "";
    private WriteAheadLog? _log;
    private SafeFileHandle? _file;
    private ulong _index;
    private ulong _sequence;
    private long _offset;
    private LogEntry[] _entries = [];

    /// <summary>Commands of 256 bytes that share one flush.</summary>
    [Params(1, 64)]
    public int EntriesPerFlush { get; set; }

    [GlobalSetup]
    public void Setup()
    {
        _folder = Directory.CreateTempSubdirectory("raftmirror-bench-").FullName;
        _entries = new LogEntry[EntriesPerFlush];
        _log = new WriteAheadLog(new DirectoryStorage(Path.Combine(_folder, "wal")), SegmentBytes, incarnation: 1);
        _file = Linux.Open(Path.Combine(_folder, "raw"), writable: true, create: true);
        RandomAccess.Write(_file, new byte[SegmentBytes], 0);
        Linux.DataSync(_file);
    }

    [GlobalCleanup]
    public void Cleanup()
    {
        _log?.Dispose();
        _file?.Dispose();
        if (_folder.Length > 0) Directory.Delete(_folder, recursive: true);
        _folder = "";
    }

    [Benchmark(Baseline = true)]
    public void RawWriteAndFlush()
    {
        var bytes = Math.Max(1, EntriesPerFlush * 304 / _raw.Length) * _raw.Length;
        for (var written = 0; written < bytes; written += _raw.Length)
        {
            RandomAccess.Write(_file!, _raw, _offset);
            _offset = (_offset + _raw.Length) % SegmentBytes;
        }

        Linux.DataSync(_file!);
    }

    /// <summary>One batch. What is allocated is the batch, which is the caller's.</summary>
    [Benchmark]
    public void AppendAndFlush()
    {
        var previous = Last;
        for (var i = 0; i < _entries.Length; i++) _entries[i] = NextEntry();
        _log!.Append(new WriteBatch(++_sequence, new HardState(1, default, previous.Index), previous, _entries));
        _log.Flush();
        Compact();
    }

    /// <summary>A group commit: as many batches of one entry, one write and one flush.</summary>
    [Benchmark]
    public void AppendGroupAndFlush()
    {
        for (var i = 0; i < _entries.Length; i++)
        {
            var previous = Last;
            _log!.Append(new WriteBatch(++_sequence, new HardState(1, default, previous.Index), previous, [NextEntry()]));
        }

        _log!.Flush();
        Compact();
    }

    private EntryId Last => new(_index == 0 ? 0UL : 1UL, _index);

    private LogEntry NextEntry() => new(new EntryId(1, ++_index), EntryType.Command, default, _raw.AsMemory(0, 256));

    /// <summary>As behind a snapshot now and then: segments are used again, and the disk does not fill.</summary>
    private void Compact()
    {
        if (!_log!.IsMaintenanceDue) return;
        _log.Compact(_index);
        _log.Maintain();
    }
}
