"""Benchmarks: `python -m tests.bench`, or `make bench`. Nothing of it is collected by pytest."""
