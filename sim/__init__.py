"""Checks the theory against gradient-trained models; `python -m sim.sweep` is the main job."""
