"""Runs that measure and runs that break things, on real parts; their tables are in `results/`."""
