"""The parts of benchmarks/pipeline.py, the systems that it compares, and its report."""
