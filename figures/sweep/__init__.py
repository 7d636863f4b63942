"""Figures of a sweep, each a table and a drawing."""

PLACE = 0
"""Before those of studies."""
