using System.Text;
using RaftMirror.Primitives;

namespace RaftMirror.Cli.Rendering;

/// <summary>The process's stdout and stderr, as a command line must treat them: a result that cannot be written fails the command and says
/// why; what cannot be said on stderr is lost, since nobody is left to tell.</summary>
/// <remarks>A stream that was closed when the process started is no stream of ours: the runtime may have opened something else under its
/// number, and writing there would damage that. Inherited descriptors never have close-on-exec, those of the runtime always do.</remarks>
internal static class StandardStreams
{
    private const int Out = 1;
    private const int Error = 2;

    private static readonly UTF8Encoding Text = new(encoderShouldEmitUTF8Identifier: false);

    /// <summary>For results. Writing throws <see cref="OutputFailure"/>. Whoever closed stderr as well wants the exit code and nothing else: then
    /// results are dropped, as with /dev/null.</summary>
    public static TextWriter OpenOut() => !IsInherited(Out) && !IsInherited(Error)
        ? TextWriter.Null
        : Writer(new ResultStream(Open(Out, Console.OpenStandardOutput)));

    /// <summary>For everything else. Writing never throws.</summary>
    public static TextWriter OpenError() => Writer(new QuietStream(Open(Error, Console.OpenStandardError)));

    /// <summary>Keeps the framework's own console, which the daemon's log goes through, away from numbers that were closed.</summary>
    public static void GuardConsole()
    {
        if (!IsInherited(Out)) Console.SetOut(TextWriter.Null);
        if (!IsInherited(Error)) Console.SetError(TextWriter.Null);
    }

    private static Stream? Open(int descriptor, Func<Stream> open) => IsInherited(descriptor) ? open() : null;

    private static bool IsInherited(int descriptor) => Linux.IsInheritable(descriptor);

    private static TextWriter Writer(Stream stream) =>
        TextWriter.Synchronized(new StreamWriter(stream, Text, bufferSize: -1) { AutoFlush = true });
}

/// <summary>A result could not be written.</summary>
internal sealed class OutputFailure(string reason, Exception? inner = null) : Exception($"Cannot write the output: {reason}.", inner);

/// <summary>Any failure of the stream below becomes an <see cref="OutputFailure"/>.</summary>
/// <param name="inner">Null if there is none.</param>
internal sealed class ResultStream(Stream? inner) : WriteOnlyStream
{
    public override void Write(ReadOnlySpan<byte> buffer)
    {
        if (buffer.Length == 0) return;
        if (inner is null) throw new OutputFailure("stdout is closed");
        try
        {
            inner.Write(buffer);
        }
        catch (Exception failure) when (failure is IOException or UnauthorizedAccessException or ObjectDisposedException)
        {
            throw new OutputFailure(failure.Message.TrimEnd('.'), failure);
        }
    }
}

/// <summary>Failures of the stream below are ignored.</summary>
/// <param name="inner">Null if there is none.</param>
internal sealed class QuietStream(Stream? inner) : WriteOnlyStream
{
    public override void Write(ReadOnlySpan<byte> buffer)
    {
        try
        {
            inner?.Write(buffer);
        }
        catch (Exception failure) when (failure is IOException or UnauthorizedAccessException or ObjectDisposedException)
        {
            // Where errors go is itself in error: the exit code is what is left.
        }
    }
}
