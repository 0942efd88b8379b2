using Xunit;
using Xunit.Abstractions;
using Xunit.Sdk;

namespace RaftMirror.Integration.Tests.Kernel;

/// <summary>A test in guests with real kernels. It exists only where RAFTMIRROR_VM names the directory of a harness that boots them (its
/// run-guest.sh): elsewhere nobody has asked for it, so that it is not skipped either.</summary>
[AttributeUsage(AttributeTargets.Method)]
[XunitTestCaseDiscoverer("RaftMirror.Integration.Tests.Kernel.KernelTheoryDiscoverer", "RaftMirror.Integration.Tests")]
public sealed class KernelTheoryAttribute : TheoryAttribute;

/// <summary>Finds no test without a harness.</summary>
/// <param name="messages">Where xUnit wants to hear of trouble.</param>
public sealed class KernelTheoryDiscoverer(IMessageSink messages) : IXunitTestCaseDiscoverer
{
    private readonly TheoryDiscoverer _theories = new(messages);

    /// <summary>Directory of the harness; null if there is none.</summary>
    internal static string? Harness => Environment.GetEnvironmentVariable("RAFTMIRROR_VM") is { Length: > 0 } directory ? directory : null;

    /// <inheritdoc/>
    public IEnumerable<IXunitTestCase> Discover(ITestFrameworkDiscoveryOptions discoveryOptions, ITestMethod testMethod, IAttributeInfo factAttribute) =>
        Harness is null ? [] : _theories.Discover(discoveryOptions, testMethod, factAttribute);
}
