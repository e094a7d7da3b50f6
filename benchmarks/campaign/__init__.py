"""The parts of accuracy.py and robustness.py: which trainings there are, how one runs, and the reports."""
