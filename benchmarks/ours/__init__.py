"""Our own measurements: `python -m benchmarks.ours MEASURE SIZES`."""
