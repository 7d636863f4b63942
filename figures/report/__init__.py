"""Everything found in one file: python -m figures.report."""
