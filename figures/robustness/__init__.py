"""Figures, tables and page of study D22."""

CALLED = "study of robustness"
PLACE = 1
"""Among the studies of a report and of lists."""
