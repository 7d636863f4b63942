"""Figures, each a table computed from a sweep's run folder and a drawing of that table."""

from theory.command.beginning import begin

begin()
