"""Runs that print figures; never timed tests. `python -m benchmarks.report` runs them all."""
