using Xunit;

// Every test here runs whole clusters of processes, which mostly wait: for leases, beats and time-outs. Two at a time use the time; more
// would only measure each other's load.
[assembly: CollectionBehavior(MaxParallelThreads = 2)]
