"""Measures this package beside its peers and the bare database, in one go: `make bench`, or `python -m benchmarks`."""
