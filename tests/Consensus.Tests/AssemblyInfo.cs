// Tests of real nodes wait for elections and time-outs most of the time; others may run meanwhile.
[assembly: CollectionBehavior(MaxParallelThreads = 4)]
