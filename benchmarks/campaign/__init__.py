"""The parts of accuracy.py: what is trained, on which data, and what is reported of it."""
