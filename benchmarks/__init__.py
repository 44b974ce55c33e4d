"""Programs that measure; see throughput.py."""
