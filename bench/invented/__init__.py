"""The parts of the graph that `bench.generate` makes up."""
