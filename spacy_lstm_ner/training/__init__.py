"""Training with checkpoints, and the data that a config trains on."""
