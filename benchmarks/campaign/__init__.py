"""The parts of benchmarks/accuracy.py: which trainings there are, how one runs, and the report."""
