"""Figures, tables and page of study F22."""

CALLED = "study of sub-networks"
PLACE = 3
"""Among the studies of a report and of lists."""
