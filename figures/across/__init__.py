"""Figure and page of the study across the four."""

CALLED = "study across the four"
PLACE = 5
"""Among the studies of a report and of lists."""
