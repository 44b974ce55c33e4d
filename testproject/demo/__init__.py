"""Everything at once on one machine: `python -m testproject.demo`, or `make demo`."""
