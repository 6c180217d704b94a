"""The asv suite: one module per operation, all on the seeded data of `benchmarks.data`."""
