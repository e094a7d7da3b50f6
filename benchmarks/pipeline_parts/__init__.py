"""The parts of benchmarks/pipeline.py, one module each."""
