"""Checks the theory against gradient-trained models; `python -m sim.sweep` is the main job."""

from theory.command.beginning import begin

begin()
