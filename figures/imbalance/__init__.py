"""Figures, tables and page of study S24."""

CALLED = "study of imbalance"
PLACE = 2
"""Among the studies of a report and of lists."""
