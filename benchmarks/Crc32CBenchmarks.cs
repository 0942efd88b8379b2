using BenchmarkDotNet.Attributes;
using RaftMirror.Primitives;

namespace RaftMirror.Benchmarks;

/// <summary>The checksum of every frame, label and log entry.</summary>
public class Crc32CBenchmarks
{
    private byte[] _data = [];

    [Params(4096, 65536)]
    public int Bytes { get; set; }

    [GlobalSetup]
    public void Setup()
    {
        _data = new byte[Bytes];
        new Random(1).NextBytes(_data);
    }

    [Benchmark]
    public uint Compute() => Crc32C.Compute(_data);
}
