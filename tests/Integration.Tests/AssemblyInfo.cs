using Xunit;

// Every test here runs whole clusters of processes: side by side they would only measure each other's load.
[assembly: CollectionBehavior(DisableTestParallelization = true)]
