"""Figure and page of the study across the four."""
