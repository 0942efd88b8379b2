using Xunit;

// Every test here runs whole clusters of processes, which mostly wait: for leases, beats and time-outs. Three at a time use the time of two
// cores; more would only measure each other's load.
[assembly: CollectionBehavior(MaxParallelThreads = 3)]
