"""Figures, tables and page of study B22."""

CALLED = "study of training dynamics"
PLACE = 4
"""Among the studies of a report and of lists."""
