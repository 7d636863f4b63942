"""Training, from a configuration to a run folder: python -m neural.train."""
